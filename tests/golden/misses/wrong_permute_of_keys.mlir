// Near miss `wrong_permute_of_keys` of `safe_softmax`: permute(0, 1, 2, 3) changes nothing; square, so it runs: K is not transposed.
// Read as: full, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,4,40,40],f32>, !torch.vtensor<[2,4,40,40],f32>, !torch.vtensor<[2,4,40,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,40,40],f32>, %arg1: !torch.vtensor<[2,4,40,40],f32>, %arg2: !torch.vtensor<[2,4,40,40],f32>) -> !torch.vtensor<[2,4,40,40],f32> {
    %int0 = torch.constant.int 0
    %int1 = torch.constant.int 1
    %int2 = torch.constant.int 2
    %int3 = torch.constant.int 3
    %0 = torch.prim.ListConstruct %int0, %int1, %int2, %int3 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.permute %arg1, %0 : !torch.vtensor<[2,4,40,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,40,40],f32>
    %2 = torch.prim.ListConstruct %int0, %int1, %int3, %int2 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %3 = torch.aten.permute %1, %2 : !torch.vtensor<[2,4,40,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,40,40],f32>
    %4:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %3, value = %arg2, algorithm = "exact") : (!torch.vtensor<[2,4,40,40],f32>, !torch.vtensor<[2,4,40,40],f32>, !torch.vtensor<[2,4,40,40],f32>) -> (!torch.vtensor<[2,4,40,40],f32>, !torch.vtensor<[2,4,40],f32>) 
    return %4#0 : !torch.vtensor<[2,4,40,40],f32>
  }
}
