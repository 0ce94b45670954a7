// Near miss `keys_written_before_use` of `in_place_steps`: V is overwritten between the scores and its product; K is overwritten before the site is over.
// Left alone: in_place
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %none = torch.constant.none
    %0 = torch.aten.clone %arg0, %none : !torch.vtensor<[2,4,63,40],f32>, !torch.none -> !torch.vtensor<[2,4,63,40],f32>
    %int-2 = torch.constant.int -2
    %int-1 = torch.constant.int -1
    %1 = torch.aten.transpose_copy.int %0, %int-2, %int-1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,40,63],f32>
    %int2 = torch.constant.int 2
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %int40 = torch.constant.int 40
    %2 = torch.prim.ListConstruct %int2, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %3 = torch.aten.expand %arg1, %2, %false : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,63,40],f32>
    %int8 = torch.constant.int 8
    %4 = torch.prim.ListConstruct %int8, %int63, %int40 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.view %3, %4 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[8,63,40],f32>
    %6 = torch.prim.ListConstruct %int2, %int4, %int40, %int63 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %7 = torch.aten.expand %1, %6, %false : !torch.vtensor<[2,4,40,63],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,40,63],f32>
    %8 = torch.prim.ListConstruct %int8, %int40, %int63 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %9 = torch.aten.view %7, %8 : !torch.vtensor<[2,4,40,63],f32>, !torch.list<int> -> !torch.vtensor<[8,40,63],f32>
    %10 = torch.aten.bmm %5, %9 : !torch.vtensor<[8,63,40],f32>, !torch.vtensor<[8,40,63],f32> -> !torch.vtensor<[8,63,63],f32>
    %11 = torch.prim.ListConstruct %int2, %int4, %int63, %int63 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %12 = torch.aten._unsafe_view %10, %11 : !torch.vtensor<[8,63,63],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,63],f32>
    %13 = torch.aten._softmax %12, %int-1, %false : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.bool -> !torch.vtensor<[2,4,63,63],f32>
    %14 = torch.aten.zero %0 : !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    %15 = torch.aten.expand %13, %11, %false : !torch.vtensor<[2,4,63,63],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,63,63],f32>
    %16 = torch.prim.ListConstruct %int8, %int63, %int63 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %17 = torch.aten.view %15, %16 : !torch.vtensor<[2,4,63,63],f32>, !torch.list<int> -> !torch.vtensor<[8,63,63],f32>
    %18 = torch.aten.expand %arg2, %2, %false : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,63,40],f32>
    %19 = torch.aten.view %18, %4 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[8,63,40],f32>
    %20 = torch.aten.bmm %17, %19 : !torch.vtensor<[8,63,63],f32>, !torch.vtensor<[8,63,40],f32> -> !torch.vtensor<[8,63,40],f32>
    %21 = torch.aten._unsafe_view %20, %2 : !torch.vtensor<[8,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,40],f32>
    %int1 = torch.constant.int 1
    %22 = torch.aten.add.Tensor %21, %14, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    return %22 : !torch.vtensor<[2,4,63,40],f32>
  }
}
