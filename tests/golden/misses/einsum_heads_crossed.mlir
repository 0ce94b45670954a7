// Near miss `einsum_heads_crossed` of `einsum_heads_first`: Head and batch of K exchanged: legal for two batches of two heads; K must be permuted for the call.
// Read as: full, 2 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 33,33],
// CHECK: torch.constant.str "zero"
// CHECK: torch.operator "torch.hyper.attention"({{.*}}) : (!torch.vtensor<{{\[}}2,2,33,40],f32>, !torch.vtensor<{{\[}}2,2,33,40],f32>, !torch.vtensor<{{\[}}2,2,33,40],f32>,
// CHECK-SAME: {{(!torch.vtensor<[^>]*)?}}!torch.none, !torch.none
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
    %none = torch.constant.none
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %str = torch.constant.str "zero"
    %str_0 = torch.constant.str "exact"
    %2:2 = torch.operator "torch.hyper.attention"(%arg0, %1, %arg2, %none, %none, %none, %none, %float1.000000e00, %str, %str_0, ...) : (!torch.vtensor<[2,2,33,40],f32>, !torch.vtensor<[2,2,33,40],f32>, !torch.vtensor<[2,2,33,40],f32>, !torch.none, !torch.none, !torch.none, !torch.none, !torch.float, !torch.str, !torch.str, ...) -> (!torch.vtensor<[2,2,33,40],f32>, !torch.vtensor<[2,2,33],f32>) 
    return %2#0 : !torch.vtensor<[2,2,33,40],f32>
  }
}
