// Near miss `gqa_tiled` of `gqa_repeat_interleave`: repeat puts kv head h % 3 under query head h: no grouping.
// Read as: full, 6 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,6,63,40],f32>, !torch.vtensor<[2,6,63,40],f32>, !torch.vtensor<[2,6,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,3,63,40],f32>, %arg1: !torch.vtensor<[2,3,63,40],f32>, %arg2: !torch.vtensor<[2,6,63,40],f32>) -> !torch.vtensor<[2,6,63,40],f32> {
    %int1 = torch.constant.int 1
    %int2 = torch.constant.int 2
    %0 = torch.prim.ListConstruct %int1, %int2, %int1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.repeat %arg0, %0 : !torch.vtensor<[2,3,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,6,63,40],f32>
    %2 = torch.aten.repeat %arg1, %0 : !torch.vtensor<[2,3,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,6,63,40],f32>
    %3:2 = torch.operator "torch.hyper.attention"(query = %arg2, key = %1, value = %2, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,6,63,40],f32>, !torch.vtensor<[2,6,63,40],f32>, !torch.vtensor<[2,6,63,40],f32>) -> (!torch.vtensor<[2,6,63,40],f32>, !torch.vtensor<[2,6,63],f32>) 
    return %3#0 : !torch.vtensor<[2,6,63,40],f32>
  }
}
