// Form `causal_with_offset`: A prefill in pieces: the queries are the last of the positions.
// Read as: causal with offset 46, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 17,63],
// CHECK-DAG: torch.constant.int 46
// CHECK: torch.constant.str "nan"
// CHECK: torch.operator "torch.hyper.attention"({{.*}}) : (!torch.vtensor<{{\[}}2,4,17,40],f32>, !torch.vtensor<{{\[}}2,4,63,40],f32>, !torch.vtensor<{{\[}}2,4,63,40],f32>,
// CHECK-SAME: {{(!torch.vtensor<[^>]*)?}}!torch.none, !torch.none
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 17,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,17,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,17,40],f32> {
    %none = torch.constant.none
    %int46 = torch.constant.int 46
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %str = torch.constant.str "nan"
    %str_0 = torch.constant.str "exact"
    %0:2 = torch.operator "torch.hyper.attention"(%arg0, %arg1, %arg2, %none, %none, %int46, %none, %float1.000000e00, %str, %str_0, ...) : (!torch.vtensor<[2,4,17,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.none, !torch.none, !torch.int, !torch.none, !torch.float, !torch.str, !torch.str, ...) -> (!torch.vtensor<[2,4,17,40],f32>, !torch.vtensor<[2,4,17],f32>) 
    return %0#0 : !torch.vtensor<[2,4,17,40],f32>
  }
}
