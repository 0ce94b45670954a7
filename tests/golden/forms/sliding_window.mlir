// Form `sliding_window`: Mistral: the last 16 keys, the own one included.
// Read as: sliding window 16, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 111,111],
// CHECK-DAG: torch.constant.int 16
// CHECK: torch.constant.str "mean"
// CHECK: torch.operator "torch.hyper.attention"({{.*}}) : (!torch.vtensor<{{\[}}2,4,111,40],f32>, !torch.vtensor<{{\[}}2,4,111,40],f32>, !torch.vtensor<{{\[}}2,4,111,40],f32>,
// CHECK-SAME: {{(!torch.vtensor<[^>]*)?}}!torch.none, !torch.none
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 111,111],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,111,40],f32>, %arg1: !torch.vtensor<[2,4,111,40],f32>, %arg2: !torch.vtensor<[2,4,111,40],f32>) -> !torch.vtensor<[2,4,111,40],f32> {
    %none = torch.constant.none
    %int0 = torch.constant.int 0
    %int16 = torch.constant.int 16
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %str = torch.constant.str "mean"
    %str_0 = torch.constant.str "exact"
    %0:2 = torch.operator "torch.hyper.attention"(%arg0, %arg1, %arg2, %none, %none, %int0, %int16, %float1.000000e00, %str, %str_0, ...) : (!torch.vtensor<[2,4,111,40],f32>, !torch.vtensor<[2,4,111,40],f32>, !torch.vtensor<[2,4,111,40],f32>, !torch.none, !torch.none, !torch.int, !torch.int, !torch.float, !torch.str, !torch.str, ...) -> (!torch.vtensor<[2,4,111,40],f32>, !torch.vtensor<[2,4,111],f32>) 
    return %0#0 : !torch.vtensor<[2,4,111,40],f32>
  }
}
