// Form `products_by_linear`
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
    %0 = torch.aten.numpy_T %arg2 : !torch.vtensor<[57,24],f32> -> !torch.vtensor<[24,57],f32>
    %int0 = torch.constant.int 0
    %1 = torch.aten.unsqueeze %arg0, %int0 : !torch.vtensor<[63,40],f32>, !torch.int -> !torch.vtensor<[1,63,40],f32>
    %int1 = torch.constant.int 1
    %2 = torch.aten.unsqueeze %1, %int1 : !torch.vtensor<[1,63,40],f32>, !torch.int -> !torch.vtensor<[1,1,63,40],f32>
    %3 = torch.aten.unsqueeze %arg1, %int0 : !torch.vtensor<[57,40],f32>, !torch.int -> !torch.vtensor<[1,57,40],f32>
    %4 = torch.aten.unsqueeze %3, %int1 : !torch.vtensor<[1,57,40],f32>, !torch.int -> !torch.vtensor<[1,1,57,40],f32>
    %5 = torch.prim.ListConstruct %int1, %int0 : (!torch.int, !torch.int) -> !torch.list<int>
    %6 = torch.aten.permute %0, %5 : !torch.vtensor<[24,57],f32>, !torch.list<int> -> !torch.vtensor<[57,24],f32>
    %7 = torch.aten.unsqueeze %6, %int0 : !torch.vtensor<[57,24],f32>, !torch.int -> !torch.vtensor<[1,57,24],f32>
    %8 = torch.aten.unsqueeze %7, %int1 : !torch.vtensor<[1,57,24],f32>, !torch.int -> !torch.vtensor<[1,1,57,24],f32>
    %9:2 = torch.operator "torch.hyper.attention"(query = %2, key = %4, value = %8, scale = 0.125, algorithm = "exact") : (!torch.vtensor<[1,1,63,40],f32>, !torch.vtensor<[1,1,57,40],f32>, !torch.vtensor<[1,1,57,24],f32>) -> (!torch.vtensor<[1,1,63,24],f32>, !torch.vtensor<[1,1,63],f32>) 
    %int2 = torch.constant.int 2
    %int3 = torch.constant.int 3
    %10 = torch.prim.ListConstruct %int2, %int3, %int0, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %11 = torch.aten.permute %9#0, %10 : !torch.vtensor<[1,1,63,24],f32>, !torch.list<int> -> !torch.vtensor<[63,24,1,1],f32>
    %int-1 = torch.constant.int -1
    %12 = torch.aten.squeeze.dim %11, %int-1 : !torch.vtensor<[63,24,1,1],f32>, !torch.int -> !torch.vtensor<[63,24,1],f32>
    %13 = torch.aten.squeeze.dim %12, %int-1 : !torch.vtensor<[63,24,1],f32>, !torch.int -> !torch.vtensor<[63,24],f32>
    return %13 : !torch.vtensor<[63,24],f32>
  }
}
