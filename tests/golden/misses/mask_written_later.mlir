// Near miss `mask_written_later` of `fill_as_statement`: The mask is written between the softmax and the product with V: too late to read it again.
// Left alone: in_place
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,63],si64>, %arg1: !torch.vtensor<[3,4,63,40],f32>, %arg2: !torch.vtensor<[3,4,63,40],f32>, %arg3: !torch.vtensor<[3,4,63,40],f32>) -> !torch.vtensor<[3,4,63,40],f32> {
    %int11 = torch.constant.int 11
    %none = torch.constant.none
    %false = torch.constant.bool false
    %0 = torch.aten._to_copy %arg0, %int11, %none, %none, %none, %false, %none : !torch.vtensor<[3,63],si64>, !torch.int, !torch.none, !torch.none, !torch.none, !torch.bool, !torch.none -> !torch.vtensor<[3,63],i1>
    %int-2 = torch.constant.int -2
    %int-1 = torch.constant.int -1
    %1 = torch.aten.transpose_copy.int %arg1, %int-2, %int-1 : !torch.vtensor<[3,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[3,4,40,63],f32>
    %int3 = torch.constant.int 3
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %int40 = torch.constant.int 40
    %2 = torch.prim.ListConstruct %int3, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %3 = torch.aten.expand %arg2, %2, %false : !torch.vtensor<[3,4,63,40],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,4,63,40],f32>
    %int12 = torch.constant.int 12
    %4 = torch.prim.ListConstruct %int12, %int63, %int40 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.view %3, %4 : !torch.vtensor<[3,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[12,63,40],f32>
    %6 = torch.prim.ListConstruct %int3, %int4, %int40, %int63 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %7 = torch.aten.expand %1, %6, %false : !torch.vtensor<[3,4,40,63],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,4,40,63],f32>
    %8 = torch.prim.ListConstruct %int12, %int40, %int63 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %9 = torch.aten.view %7, %8 : !torch.vtensor<[3,4,40,63],f32>, !torch.list<int> -> !torch.vtensor<[12,40,63],f32>
    %10 = torch.aten.bmm %5, %9 : !torch.vtensor<[12,63,40],f32>, !torch.vtensor<[12,40,63],f32> -> !torch.vtensor<[12,63,63],f32>
    %11 = torch.prim.ListConstruct %int3, %int4, %int63, %int63 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %12 = torch.aten._unsafe_view %10, %11 : !torch.vtensor<[12,63,63],f32>, !torch.list<int> -> !torch.vtensor<[3,4,63,63],f32>
    %int1 = torch.constant.int 1
    %13 = torch.aten.unsqueeze_copy %0, %int1 : !torch.vtensor<[3,63],i1>, !torch.int -> !torch.vtensor<[3,1,63],i1>
    %int2 = torch.constant.int 2
    %14 = torch.aten.unsqueeze_copy %13, %int2 : !torch.vtensor<[3,1,63],i1>, !torch.int -> !torch.vtensor<[3,1,1,63],i1>
    %15 = torch.aten.bitwise_not %14 : !torch.vtensor<[3,1,1,63],i1> -> !torch.vtensor<[3,1,1,63],i1>
    %float-1.000000e30 = torch.constant.float -1.000000e+30
    %16 = torch.aten.masked_fill.Scalar %12, %15, %float-1.000000e30 : !torch.vtensor<[3,4,63,63],f32>, !torch.vtensor<[3,1,1,63],i1>, !torch.float -> !torch.vtensor<[3,4,63,63],f32>
    %17 = torch.aten._softmax %16, %int-1, %false : !torch.vtensor<[3,4,63,63],f32>, !torch.int, !torch.bool -> !torch.vtensor<[3,4,63,63],f32>
    %18 = torch.aten.expand %17, %11, %false : !torch.vtensor<[3,4,63,63],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,4,63,63],f32>
    %19 = torch.prim.ListConstruct %int12, %int63, %int63 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %20 = torch.aten.view %18, %19 : !torch.vtensor<[3,4,63,63],f32>, !torch.list<int> -> !torch.vtensor<[12,63,63],f32>
    %21 = torch.aten.expand %arg3, %2, %false : !torch.vtensor<[3,4,63,40],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,4,63,40],f32>
    %22 = torch.aten.view %21, %4 : !torch.vtensor<[3,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[12,63,40],f32>
    %23 = torch.aten.bmm %20, %22 : !torch.vtensor<[12,63,63],f32>, !torch.vtensor<[12,63,40],f32> -> !torch.vtensor<[12,63,40],f32>
    %24 = torch.aten._unsafe_view %23, %2 : !torch.vtensor<[12,63,40],f32>, !torch.list<int> -> !torch.vtensor<[3,4,63,40],f32>
    return %24 : !torch.vtensor<[3,4,63,40],f32>
  }
}
