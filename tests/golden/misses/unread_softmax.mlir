// Near miss `unread_softmax` of `sdpa_with_relative_product`: SAM 2's vision model works out probabilities that nobody reads.
// Left alone: not attention
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int1 = torch.constant.int 1
    %0 = torch.aten.add.Tensor %arg1, %arg2, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    return %0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
