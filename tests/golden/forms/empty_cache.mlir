// Form `empty_cache`: The first step of a KV cache.
// Read as: causal, 3 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, causal_offset = 0, scale = 0.15811388300841897, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,3,63,40],f32>, !torch.vtensor<[2,3,63,40],f32>, !torch.vtensor<[2,3,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,3,63,40],f32>, %arg1: !torch.vtensor<[2,3,63,40],f32>, %arg2: !torch.vtensor<[2,3,63,40],f32>) -> !torch.vtensor<[2,3,63,40],f32> {
    %0 = torch.vtensor.literal(dense_resource<torch_tensor_0_torch.float32> : tensor<0xf32>) : !torch.vtensor<[0],f32>
    %none = torch.constant.none
    %1 = torch.aten.clone %0, %none : !torch.vtensor<[0],f32>, !torch.none -> !torch.vtensor<[0],f32>
    %2 = torch.prim.ListConstruct %1, %arg0 : (!torch.vtensor<[0],f32>, !torch.vtensor<[2,3,63,40],f32>) -> !torch.list<vtensor>
    %int-2 = torch.constant.int -2
    %3 = torch.aten.cat %2, %int-2 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,3,63,40],f32>
    %4 = torch.vtensor.literal(dense_resource<torch_tensor_0_torch.float32_1> : tensor<0xf32>) : !torch.vtensor<[0],f32>
    %5 = torch.aten.clone %4, %none : !torch.vtensor<[0],f32>, !torch.none -> !torch.vtensor<[0],f32>
    %6 = torch.prim.ListConstruct %5, %arg1 : (!torch.vtensor<[0],f32>, !torch.vtensor<[2,3,63,40],f32>) -> !torch.list<vtensor>
    %7 = torch.aten.cat %6, %int-2 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,3,63,40],f32>
    %8:2 = torch.operator "torch.hyper.attention"(query = %arg2, key = %3, value = %7, causal_offset = 0, scale = 0.15811388300841897, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,3,63,40],f32>, !torch.vtensor<[2,3,63,40],f32>, !torch.vtensor<[2,3,63,40],f32>) -> (!torch.vtensor<[2,3,63,40],f32>, !torch.vtensor<[2,3,63],f32>) 
    return %8#0 : !torch.vtensor<[2,3,63,40],f32>
  }
}
