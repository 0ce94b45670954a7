// Form `sliding_window`: Mistral: the last 16 keys, the own one included.
// Read as: sliding window 16, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 111,111],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, causal_offset = 0, sliding_window = 16, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,111,40],f32>, !torch.vtensor<[2,4,111,40],f32>, !torch.vtensor<[2,4,111,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 111,111],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,111,40],f32>, %arg1: !torch.vtensor<[2,4,111,40],f32>, %arg2: !torch.vtensor<[2,4,111,40],f32>) -> !torch.vtensor<[2,4,111,40],f32> {
    %0:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg2, causal_offset = 0, sliding_window = 16, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,111,40],f32>, !torch.vtensor<[2,4,111,40],f32>, !torch.vtensor<[2,4,111,40],f32>) -> (!torch.vtensor<[2,4,111,40],f32>, !torch.vtensor<[2,4,111],f32>) 
    return %0#0 : !torch.vtensor<[2,4,111,40],f32>
  }
}
