// Form `products_by_tensordot`
// Read as: full, 1 heads, scale 0.125
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,57],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.125, algorithm = "exact") : (!torch.vtensor<[1,1,63,40],f32>, !torch.vtensor<[1,1,57,40],f32>, !torch.vtensor<[1,1,57,24],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,57],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[63,40],f32>, %arg1: !torch.vtensor<[57,40],f32>, %arg2: !torch.vtensor<[57,24],f32>) -> !torch.vtensor<[63,24],f32> {
    %int0 = torch.constant.int 0
    %0 = torch.aten.unsqueeze %arg0, %int0 : !torch.vtensor<[63,40],f32>, !torch.int -> !torch.vtensor<[1,63,40],f32>
    %int1 = torch.constant.int 1
    %1 = torch.aten.unsqueeze %0, %int1 : !torch.vtensor<[1,63,40],f32>, !torch.int -> !torch.vtensor<[1,1,63,40],f32>
    %2 = torch.aten.unsqueeze %arg1, %int0 : !torch.vtensor<[57,40],f32>, !torch.int -> !torch.vtensor<[1,57,40],f32>
    %3 = torch.aten.unsqueeze %2, %int1 : !torch.vtensor<[1,57,40],f32>, !torch.int -> !torch.vtensor<[1,1,57,40],f32>
    %4 = torch.aten.unsqueeze %arg2, %int0 : !torch.vtensor<[57,24],f32>, !torch.int -> !torch.vtensor<[1,57,24],f32>
    %5 = torch.aten.unsqueeze %4, %int1 : !torch.vtensor<[1,57,24],f32>, !torch.int -> !torch.vtensor<[1,1,57,24],f32>
    %6:2 = torch.operator "torch.hyper.attention"(query = %1, key = %3, value = %5, scale = 0.125, algorithm = "exact") : (!torch.vtensor<[1,1,63,40],f32>, !torch.vtensor<[1,1,57,40],f32>, !torch.vtensor<[1,1,57,24],f32>) -> (!torch.vtensor<[1,1,63,24],f32>, !torch.vtensor<[1,1,63],f32>) 
    %int2 = torch.constant.int 2
    %int3 = torch.constant.int 3
    %7 = torch.prim.ListConstruct %int2, %int3, %int0, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %8 = torch.aten.permute %6#0, %7 : !torch.vtensor<[1,1,63,24],f32>, !torch.list<int> -> !torch.vtensor<[63,24,1,1],f32>
    %int-1 = torch.constant.int -1
    %9 = torch.aten.squeeze.dim %8, %int-1 : !torch.vtensor<[63,24,1,1],f32>, !torch.int -> !torch.vtensor<[63,24,1],f32>
    %10 = torch.aten.squeeze.dim %9, %int-1 : !torch.vtensor<[63,24,1],f32>, !torch.int -> !torch.vtensor<[63,24],f32>
    return %10 : !torch.vtensor<[63,24],f32>
  }
}
