// Form `bmm_batch_of_one`: One sequence, heads merged into the batch, grouped: the heads must be told from the groups.
// Read as: full, 4 heads over 2 kv heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[1,4,63,40],f32>, !torch.vtensor<[1,2,63,40],f32>, !torch.vtensor<[1,2,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[1,2,63,40],f32>, %arg1: !torch.vtensor<[1,2,63,40],f32>, %arg2: !torch.vtensor<[1,4,63,40],f32>) -> !torch.vtensor<[1,4,63,40],f32> {
    %int0 = torch.constant.int 0
    %0:2 = torch.operator "torch.hyper.attention"(query = %arg2, key = %arg0, value = %arg1, algorithm = "exact") : (!torch.vtensor<[1,4,63,40],f32>, !torch.vtensor<[1,2,63,40],f32>, !torch.vtensor<[1,2,63,40],f32>) -> (!torch.vtensor<[1,4,63,40],f32>, !torch.vtensor<[1,4,63],f32>) 
    %int1 = torch.constant.int 1
    %int2 = torch.constant.int 2
    %int3 = torch.constant.int 3
    %1 = torch.prim.ListConstruct %int1, %int2, %int3, %int0 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %2 = torch.aten.permute %0#0, %1 : !torch.vtensor<[1,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[4,63,40,1],f32>
    %int-1 = torch.constant.int -1
    %3 = torch.aten.squeeze.dim %2, %int-1 : !torch.vtensor<[4,63,40,1],f32>, !torch.int -> !torch.vtensor<[4,63,40],f32>
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %int40 = torch.constant.int 40
    %4 = torch.prim.ListConstruct %int1, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.view %3, %4 : !torch.vtensor<[4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[1,4,63,40],f32>
    return %5 : !torch.vtensor<[1,4,63,40],f32>
  }
}
