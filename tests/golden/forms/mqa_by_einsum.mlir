// Form `mqa_by_einsum`: Keys and values without a dim of heads.
// Read as: full, 4 heads over 1 kv heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 31,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,1,63,40],f32>, !torch.vtensor<[2,1,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 31,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,31,4,40],f32>, %arg1: !torch.vtensor<[2,63,40],f32>, %arg2: !torch.vtensor<[2,63,40],f32>) -> !torch.vtensor<[2,31,4,40],f32> {
    %int0 = torch.constant.int 0
    %int2 = torch.constant.int 2
    %int1 = torch.constant.int 1
    %int3 = torch.constant.int 3
    %0 = torch.prim.ListConstruct %int0, %int2, %int1, %int3 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.permute %arg0, %0 : !torch.vtensor<[2,31,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,31,40],f32>
    %2 = torch.aten.unsqueeze %arg1, %int1 : !torch.vtensor<[2,63,40],f32>, !torch.int -> !torch.vtensor<[2,1,63,40],f32>
    %3 = torch.aten.unsqueeze %arg2, %int1 : !torch.vtensor<[2,63,40],f32>, !torch.int -> !torch.vtensor<[2,1,63,40],f32>
    %4:2 = torch.operator "torch.hyper.attention"(query = %1, key = %2, value = %3, algorithm = "exact") : (!torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,1,63,40],f32>, !torch.vtensor<[2,1,63,40],f32>) -> (!torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31],f32>) 
    %5 = torch.aten.permute %4#0, %0 : !torch.vtensor<[2,4,31,40],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,40],f32>
    return %5 : !torch.vtensor<[2,31,4,40],f32>
  }
}
