// Near miss `written_through_alias` of `in_place_steps`: The scores change between product and softmax through another view of them.
// Left alone: in_place
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int-2 = torch.constant.int -2
    %int-1 = torch.constant.int -1
    %0 = torch.aten.transpose_copy.int %arg0, %int-2, %int-1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,40,63],f32>
    %int2 = torch.constant.int 2
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %int40 = torch.constant.int 40
    %1 = torch.prim.ListConstruct %int2, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %2 = torch.aten.expand %arg1, %1, %false : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,63,40],f32>
    %int8 = torch.constant.int 8
    %3 = torch.prim.ListConstruct %int8, %int63, %int40 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %4 = torch.aten.view %2, %3 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[8,63,40],f32>
    %5 = torch.prim.ListConstruct %int2, %int4, %int40, %int63 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %6 = torch.aten.expand %0, %5, %false : !torch.vtensor<[2,4,40,63],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,40,63],f32>
    %7 = torch.prim.ListConstruct %int8, %int40, %int63 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %8 = torch.aten.view %6, %7 : !torch.vtensor<[2,4,40,63],f32>, !torch.list<int> -> !torch.vtensor<[8,40,63],f32>
    %9 = torch.aten.bmm %4, %8 : !torch.vtensor<[8,63,40],f32>, !torch.vtensor<[8,40,63],f32> -> !torch.vtensor<[8,63,63],f32>
    %10 = torch.prim.ListConstruct %int2, %int4, %int63, %int63 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %11 = torch.aten._unsafe_view %9, %10 : !torch.vtensor<[8,63,63],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,63],f32>
    %12 = torch.prim.ListConstruct %int2, %int4, %int-1 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %13 = torch.aten.view_copy %11, %12 : !torch.vtensor<[2,4,63,63],f32>, !torch.list<int> -> !torch.vtensor<[2,4,3969],f32>
    %float5.000000e-01 = torch.constant.float 5.000000e-01
    %14 = torch.aten.mul.Scalar %13, %float5.000000e-01 : !torch.vtensor<[2,4,3969],f32>, !torch.float -> !torch.vtensor<[2,4,3969],f32>
    %15 = torch.aten.view_copy %14, %10 : !torch.vtensor<[2,4,3969],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,63],f32>
    %16 = torch.aten._softmax %15, %int-1, %false : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.bool -> !torch.vtensor<[2,4,63,63],f32>
    %17 = torch.aten.expand %16, %10, %false : !torch.vtensor<[2,4,63,63],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,63,63],f32>
    %18 = torch.prim.ListConstruct %int8, %int63, %int63 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %19 = torch.aten.view %17, %18 : !torch.vtensor<[2,4,63,63],f32>, !torch.list<int> -> !torch.vtensor<[8,63,63],f32>
    %20 = torch.aten.expand %arg2, %1, %false : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,63,40],f32>
    %21 = torch.aten.view %20, %3 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[8,63,40],f32>
    %22 = torch.aten.bmm %19, %21 : !torch.vtensor<[8,63,63],f32>, !torch.vtensor<[8,63,40],f32> -> !torch.vtensor<[8,63,40],f32>
    %23 = torch.aten._unsafe_view %22, %1 : !torch.vtensor<[8,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,40],f32>
    return %23 : !torch.vtensor<[2,4,63,40],f32>
  }
}
