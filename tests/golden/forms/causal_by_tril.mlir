// Form `causal_by_tril`
// Read as: causal, 4 heads, scale 0.111803
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 111,111],
// CHECK: torch.constant.str "nan"
// CHECK: torch.operator "torch.hyper.attention"({{.*}}) : (!torch.vtensor<{{\[}}2,4,111,80],f32>, !torch.vtensor<{{\[}}2,4,111,80],f32>, !torch.vtensor<{{\[}}2,4,111,80],f32>,
// CHECK-SAME: {{(!torch.vtensor<[^>]*)?}}!torch.none, !torch.none
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 111,111],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,111,80],f32>, %arg1: !torch.vtensor<[2,4,111,80],f32>, %arg2: !torch.vtensor<[2,4,111,80],f32>) -> !torch.vtensor<[2,4,111,80],f32> {
    %none = torch.constant.none
    %int0 = torch.constant.int 0
    %float1.118030e-01 = torch.constant.float 0.11180339887498948
    %str = torch.constant.str "nan"
    %str_0 = torch.constant.str "exact"
    %0:2 = torch.operator "torch.hyper.attention"(%arg0, %arg1, %arg2, %none, %none, %int0, %none, %float1.118030e-01, %str, %str_0, ...) : (!torch.vtensor<[2,4,111,80],f32>, !torch.vtensor<[2,4,111,80],f32>, !torch.vtensor<[2,4,111,80],f32>, !torch.none, !torch.none, !torch.int, !torch.none, !torch.float, !torch.str, !torch.str, ...) -> (!torch.vtensor<[2,4,111,80],f32>, !torch.vtensor<[2,4,111],f32>) 
    return %0#0 : !torch.vtensor<[2,4,111,80],f32>
  }
}
