// Form `bf16_softmax_in_float`
// Read as: full, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.constant.str "zero"
// CHECK: torch.operator "torch.hyper.attention"({{.*}}) : (!torch.vtensor<{{\[}}2,4,63,40],bf16>, !torch.vtensor<{{\[}}2,4,63,40],bf16>, !torch.vtensor<{{\[}}2,4,63,40],bf16>,
// CHECK-SAME: {{(!torch.vtensor<[^>]*)?}}!torch.none, !torch.none
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],bf16>, %arg1: !torch.vtensor<[2,4,63,40],bf16>, %arg2: !torch.vtensor<[2,4,63,40],bf16>) -> !torch.vtensor<[2,4,63,40],bf16> {
    %none = torch.constant.none
    %float1.581140e-01 = torch.constant.float 0.15811388300841897
    %str = torch.constant.str "zero"
    %str_0 = torch.constant.str "exact"
    %0:2 = torch.operator "torch.hyper.attention"(%arg1, %arg0, %arg2, %none, %none, %none, %none, %float1.581140e-01, %str, %str_0, ...) : (!torch.vtensor<[2,4,63,40],bf16>, !torch.vtensor<[2,4,63,40],bf16>, !torch.vtensor<[2,4,63,40],bf16>, !torch.none, !torch.none, !torch.none, !torch.none, !torch.float, !torch.str, !torch.str, ...) -> (!torch.vtensor<[2,4,63,40],bf16>, !torch.vtensor<[2,4,63],f32>) 
    return %0#0 : !torch.vtensor<[2,4,63,40],bf16>
  }
}
