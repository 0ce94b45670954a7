// Form `safe_softmax`: The scores go through nn.Softmax; the result is transposed and made contiguous.
// Read as: full, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.constant.str "zero"
// CHECK: torch.operator "torch.hyper.attention"({{.*}}) : (!torch.vtensor<{{\[}}2,4,63,40],f32>, !torch.vtensor<{{\[}}2,4,63,40],f32>, !torch.vtensor<{{\[}}2,4,63,40],f32>,
// CHECK-SAME: {{(!torch.vtensor<[^>]*)?}}!torch.none, !torch.none
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,63,160],f32> {
    %none = torch.constant.none
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %str = torch.constant.str "zero"
    %str_0 = torch.constant.str "exact"
    %int0 = torch.constant.int 0
    %0:2 = torch.operator "torch.hyper.attention"(%arg0, %arg1, %arg2, %none, %none, %none, %none, %float1.000000e00, %str, %str_0, ...) : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.none, !torch.none, !torch.none, !torch.none, !torch.float, !torch.str, !torch.str, ...) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    %int2 = torch.constant.int 2
    %int1 = torch.constant.int 1
    %int3 = torch.constant.int 3
    %1 = torch.prim.ListConstruct %int0, %int2, %int1, %int3 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %2 = torch.aten.permute %0#0, %1 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %3 = torch.aten.contiguous %2, %int0 : !torch.vtensor<[2,63,4,40],f32>, !torch.int -> !torch.vtensor<[2,63,4,40],f32>
    %int63 = torch.constant.int 63
    %int160 = torch.constant.int 160
    %4 = torch.prim.ListConstruct %int2, %int63, %int160 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.view %3, %4 : !torch.vtensor<[2,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,160],f32>
    return %5 : !torch.vtensor<[2,63,160],f32>
  }
}
