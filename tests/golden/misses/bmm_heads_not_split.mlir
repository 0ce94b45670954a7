// Near miss `bmm_heads_not_split` of `bmm_merged_heads`: One head of 160 features.
// Read as: full, 1 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,1,63,160],f32>, !torch.vtensor<[2,1,63,160],f32>, !torch.vtensor<[2,1,63,160],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,63,160],f32>, %arg1: !torch.vtensor<[2,63,160],f32>, %arg2: !torch.vtensor<[2,63,160],f32>) -> !torch.vtensor<[2,63,160],f32> {
    %int1 = torch.constant.int 1
    %0 = torch.aten.unsqueeze %arg1, %int1 : !torch.vtensor<[2,63,160],f32>, !torch.int -> !torch.vtensor<[2,1,63,160],f32>
    %1 = torch.aten.unsqueeze %arg0, %int1 : !torch.vtensor<[2,63,160],f32>, !torch.int -> !torch.vtensor<[2,1,63,160],f32>
    %2 = torch.aten.unsqueeze %arg2, %int1 : !torch.vtensor<[2,63,160],f32>, !torch.int -> !torch.vtensor<[2,1,63,160],f32>
    %int0 = torch.constant.int 0
    %3:2 = torch.operator "torch.hyper.attention"(query = %0, key = %1, value = %2, algorithm = "exact") : (!torch.vtensor<[2,1,63,160],f32>, !torch.vtensor<[2,1,63,160],f32>, !torch.vtensor<[2,1,63,160],f32>) -> (!torch.vtensor<[2,1,63,160],f32>, !torch.vtensor<[2,1,63],f32>) 
    %int2 = torch.constant.int 2
    %int3 = torch.constant.int 3
    %4 = torch.prim.ListConstruct %int0, %int2, %int3, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.permute %3#0, %4 : !torch.vtensor<[2,1,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,160,1],f32>
    %int-1 = torch.constant.int -1
    %6 = torch.aten.squeeze.dim %5, %int-1 : !torch.vtensor<[2,63,160,1],f32>, !torch.int -> !torch.vtensor<[2,63,160],f32>
    return %6 : !torch.vtensor<[2,63,160],f32>
  }
}
