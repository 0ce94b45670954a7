// Near miss `einsum_heads_crossed` of `einsum_heads_first`: Head and batch of K exchanged: legal for two batches of two heads; K must be permuted for the call.
// Read as: full, 2 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 33,33],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,2,33,40],f32>, !torch.vtensor<[2,2,33,40],f32>, !torch.vtensor<[2,2,33,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 33,33],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,2,33,40],f32>, %arg1: !torch.vtensor<[2,2,33,40],f32>, %arg2: !torch.vtensor<[2,2,33,40],f32>) -> !torch.vtensor<[2,2,33,40],f32> {
    %int1 = torch.constant.int 1
    %int0 = torch.constant.int 0
    %int2 = torch.constant.int 2
    %int3 = torch.constant.int 3
    %0 = torch.prim.ListConstruct %int1, %int0, %int2, %int3 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.permute %arg1, %0 : !torch.vtensor<[2,2,33,40],f32>, !torch.list<int> -> !torch.vtensor<[2,2,33,40],f32>
    %2:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %1, value = %arg2, algorithm = "exact") : (!torch.vtensor<[2,2,33,40],f32>, !torch.vtensor<[2,2,33,40],f32>, !torch.vtensor<[2,2,33,40],f32>) -> (!torch.vtensor<[2,2,33,40],f32>, !torch.vtensor<[2,2,33],f32>) 
    return %2#0 : !torch.vtensor<[2,2,33,40],f32>
  }
}
