// Near miss `probabilities_summed` of `matmul_softmax`: An attention map that never meets values.
// Left alone: no_value_product
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63],f32> {
    %int-1 = torch.constant.int -1
    %int-2 = torch.constant.int -2
    %0 = torch.aten.transpose.int %arg0, %int-1, %int-2 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,40,63],f32>
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %none = torch.constant.none
    %2 = torch.aten.softmax.int %1, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %3 = torch.prim.ListConstruct %int-2 : (!torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %4 = torch.aten.sum.dim_IntList %2, %3, %false, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63],f32>
    return %4 : !torch.vtensor<[2,4,63],f32>
  }
}
