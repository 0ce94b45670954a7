// Near miss `clamp_of_probabilities` of `clamp_both`: Not the scores are clamped but what softmax gives.
// Left alone: probabilities_changed
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,40,63],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %float3.000000e-01 = torch.constant.float 3.000000e-01
    %2 = torch.aten.mul.Scalar %1, %float3.000000e-01 : !torch.vtensor<[2,4,63,63],f32>, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %none = torch.constant.none
    %3 = torch.aten.softmax.int %2, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %float1.000000e-02 = torch.constant.float 1.000000e-02
    %4 = torch.aten.clamp %3, %float1.000000e-02, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.float, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %5 = torch.aten.matmul %4, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %5 : !torch.vtensor<[2,4,63,40],f32>
  }
}
