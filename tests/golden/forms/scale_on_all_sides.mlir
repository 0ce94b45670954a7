// Form `scale_on_all_sides`
// Read as: full, 4 heads, scale 0.25
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.25, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %float3.976350e-01 = torch.constant.float 0.39763536438352531
    %0 = torch.aten.mul.Scalar %arg0, %float3.976350e-01 : !torch.vtensor<[2,4,63,40],f32>, !torch.float -> !torch.vtensor<[2,4,63,40],f32>
    %1 = torch.aten.mul.Scalar %arg1, %float3.976350e-01 : !torch.vtensor<[2,4,63,40],f32>, !torch.float -> !torch.vtensor<[2,4,63,40],f32>
    %2:2 = torch.operator "torch.hyper.attention"(query = %0, key = %1, value = %arg2, scale = 0.25, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %2#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
