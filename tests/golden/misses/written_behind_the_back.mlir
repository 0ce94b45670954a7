// Near miss `written_behind_the_back` of `masked_again_in_place`: A part of the probabilities is written over by a statement.
// Left alone: probabilities_escape
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,4,63,40],f32>, %arg1: !torch.vtensor<[3,4,63,40],f32>, %arg2: !torch.vtensor<[3,4,63,40],f32>) -> !torch.vtensor<[3,4,63,40],f32> {
    %int-2 = torch.constant.int -2
    %int-1 = torch.constant.int -1
    %0 = torch.aten.transpose_copy.int %arg0, %int-2, %int-1 : !torch.vtensor<[3,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[3,4,40,63],f32>
    %int3 = torch.constant.int 3
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %int40 = torch.constant.int 40
    %1 = torch.prim.ListConstruct %int3, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %2 = torch.aten.expand %arg1, %1, %false : !torch.vtensor<[3,4,63,40],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,4,63,40],f32>
    %int12 = torch.constant.int 12
    %3 = torch.prim.ListConstruct %int12, %int63, %int40 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %4 = torch.aten.view %2, %3 : !torch.vtensor<[3,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[12,63,40],f32>
    %5 = torch.prim.ListConstruct %int3, %int4, %int40, %int63 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %6 = torch.aten.expand %0, %5, %false : !torch.vtensor<[3,4,40,63],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,4,40,63],f32>
    %7 = torch.prim.ListConstruct %int12, %int40, %int63 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %8 = torch.aten.view %6, %7 : !torch.vtensor<[3,4,40,63],f32>, !torch.list<int> -> !torch.vtensor<[12,40,63],f32>
    %9 = torch.aten.bmm %4, %8 : !torch.vtensor<[12,63,40],f32>, !torch.vtensor<[12,40,63],f32> -> !torch.vtensor<[12,63,63],f32>
    %10 = torch.prim.ListConstruct %int3, %int4, %int63, %int63 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %11 = torch.aten._unsafe_view %9, %10 : !torch.vtensor<[12,63,63],f32>, !torch.list<int> -> !torch.vtensor<[3,4,63,63],f32>
    %12 = torch.aten._softmax %11, %int-1, %false : !torch.vtensor<[3,4,63,63],f32>, !torch.int, !torch.bool -> !torch.vtensor<[3,4,63,63],f32>
    %13 = torch.vtensor.literal(dense<5.000000e-01> : tensor<f32>) : !torch.vtensor<[],f32>
    %none = torch.constant.none
    %14 = torch.aten.clone %13, %none : !torch.vtensor<[],f32>, !torch.none -> !torch.vtensor<[],f32>
    %int2 = torch.constant.int 2
    %15 = torch.aten.select_copy.int %12, %int2, %int3 : !torch.vtensor<[3,4,63,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[3,4,63],f32>
    %16 = torch.aten.fill.Tensor %15, %14 : !torch.vtensor<[3,4,63],f32>, !torch.vtensor<[],f32> -> !torch.vtensor<[3,4,63],f32>
    %17 = torch.aten.select_scatter %12, %16, %int2, %int3 : !torch.vtensor<[3,4,63,63],f32>, !torch.vtensor<[3,4,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[3,4,63,63],f32>
    %18 = torch.aten.expand %17, %10, %false : !torch.vtensor<[3,4,63,63],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,4,63,63],f32>
    %19 = torch.prim.ListConstruct %int12, %int63, %int63 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %20 = torch.aten.view %18, %19 : !torch.vtensor<[3,4,63,63],f32>, !torch.list<int> -> !torch.vtensor<[12,63,63],f32>
    %21 = torch.aten.expand %arg2, %1, %false : !torch.vtensor<[3,4,63,40],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,4,63,40],f32>
    %22 = torch.aten.view %21, %3 : !torch.vtensor<[3,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[12,63,40],f32>
    %23 = torch.aten.bmm %20, %22 : !torch.vtensor<[12,63,63],f32>, !torch.vtensor<[12,63,40],f32> -> !torch.vtensor<[12,63,40],f32>
    %24 = torch.aten._unsafe_view %23, %1 : !torch.vtensor<[12,63,40],f32>, !torch.list<int> -> !torch.vtensor<[3,4,63,40],f32>
    return %24 : !torch.vtensor<[3,4,63,40],f32>
  }
}
