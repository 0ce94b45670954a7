// Form `einsum_positions_first`: [batch, position, head, feature].
// Read as: full, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,63,4,40],f32>, %arg1: !torch.vtensor<[2,63,4,40],f32>, %arg2: !torch.vtensor<[2,63,4,40],f32>) -> !torch.vtensor<[2,63,4,40],f32> {
    %int0 = torch.constant.int 0
    %int2 = torch.constant.int 2
    %int1 = torch.constant.int 1
    %int3 = torch.constant.int 3
    %0 = torch.prim.ListConstruct %int0, %int2, %int1, %int3 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.permute %arg0, %0 : !torch.vtensor<[2,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,40],f32>
    %2 = torch.aten.permute %arg1, %0 : !torch.vtensor<[2,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,40],f32>
    %3 = torch.aten.permute %arg2, %0 : !torch.vtensor<[2,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,40],f32>
    %4:2 = torch.operator "torch.hyper.attention"(query = %1, key = %2, value = %3, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    %5 = torch.aten.permute %4#0, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    return %5 : !torch.vtensor<[2,63,4,40],f32>
  }
}
