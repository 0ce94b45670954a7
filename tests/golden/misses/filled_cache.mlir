// Near miss `filled_cache` of `empty_cache`: A cache with something in it: more keys than queries.
// Read as: causal with offset 11, 3 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 5,16],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, causal_offset = 11, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,3,5,40],f32>, !torch.vtensor<[2,3,16,40],f32>, !torch.vtensor<[2,3,16,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 5,16],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,3,11,40],f32>, %arg1: !torch.vtensor<[2,3,5,40],f32>, %arg2: !torch.vtensor<[2,3,5,40],f32>, %arg3: !torch.vtensor<[2,3,5,40],f32>) -> !torch.vtensor<[2,3,5,40],f32> {
    %0 = torch.prim.ListConstruct %arg0, %arg1 : (!torch.vtensor<[2,3,11,40],f32>, !torch.vtensor<[2,3,5,40],f32>) -> !torch.list<vtensor>
    %int-2 = torch.constant.int -2
    %1 = torch.aten.cat %0, %int-2 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,3,16,40],f32>
    %2 = torch.prim.ListConstruct %arg0, %arg2 : (!torch.vtensor<[2,3,11,40],f32>, !torch.vtensor<[2,3,5,40],f32>) -> !torch.list<vtensor>
    %3 = torch.aten.cat %2, %int-2 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,3,16,40],f32>
    %4:2 = torch.operator "torch.hyper.attention"(query = %arg3, key = %1, value = %3, causal_offset = 11, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,3,5,40],f32>, !torch.vtensor<[2,3,16,40],f32>, !torch.vtensor<[2,3,16,40],f32>) -> (!torch.vtensor<[2,3,5,40],f32>, !torch.vtensor<[2,3,5],f32>) 
    return %4#0 : !torch.vtensor<[2,3,5,40],f32>
  }
}
