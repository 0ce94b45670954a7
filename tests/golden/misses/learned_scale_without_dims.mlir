// Near miss `learned_scale_without_dims` of `learned_scale`: A scale [3] broadcasts over three keys, not over three heads.
// Left alone: unsupported_score
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,3,3,40],f32>, %arg1: !torch.vtensor<[2,3,63,40],f32>, %arg2: !torch.vtensor<[3],f32>, %arg3: !torch.vtensor<[2,3,3,40],f32>) -> !torch.vtensor<[2,3,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[2,3,3,40],f32>) -> !torch.vtensor<[2,3,40,3],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,3,63,40],f32>, !torch.vtensor<[2,3,40,3],f32> -> !torch.vtensor<[2,3,63,3],f32>
    %2 = torch.aten.mul.Tensor %1, %arg2 : !torch.vtensor<[2,3,63,3],f32>, !torch.vtensor<[3],f32> -> !torch.vtensor<[2,3,63,3],f32>
    %int-1 = torch.constant.int -1
    %none = torch.constant.none
    %3 = torch.aten.softmax.int %2, %int-1, %none : !torch.vtensor<[2,3,63,3],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,3,63,3],f32>
    %4 = torch.aten.matmul %3, %arg3 : !torch.vtensor<[2,3,63,3],f32>, !torch.vtensor<[2,3,3,40],f32> -> !torch.vtensor<[2,3,63,40],f32>
    return %4 : !torch.vtensor<[2,3,63,40],f32>
  }
}
