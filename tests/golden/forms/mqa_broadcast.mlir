// Form `mqa_broadcast`: One kv head, left to matmul to broadcast.
// Read as: full, 8 heads over 1 kv heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,1,63,40],f32>, !torch.vtensor<[2,1,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,1,63,40],f32>, %arg1: !torch.vtensor<[2,8,63,40],f32>, %arg2: !torch.vtensor<[2,1,63,40],f32>) -> !torch.vtensor<[2,8,63,40],f32> {
    %0:2 = torch.operator "torch.hyper.attention"(query = %arg1, key = %arg0, value = %arg2, algorithm = "exact") : (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,1,63,40],f32>, !torch.vtensor<[2,1,63,40],f32>) -> (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,8,63],f32>) 
    return %0#0 : !torch.vtensor<[2,8,63,40],f32>
  }
}
