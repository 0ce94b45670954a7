// Form `linear_with_a_bias_of_keys`
// Read as: full, bias, 1 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[1,1,63,40],f32>, !torch.vtensor<[1,1,57,40],f32>, !torch.vtensor<[1,1,57,24],f32>, !torch.vtensor<[1,1,1,57],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[63,40],f32>, %arg1: !torch.vtensor<[57,40],f32>, %arg2: !torch.vtensor<[57],f32>, %arg3: !torch.vtensor<[57,24],f32>) -> !torch.vtensor<[63,24],f32> {
    %int0 = torch.constant.int 0
    %0 = torch.aten.unsqueeze %arg0, %int0 : !torch.vtensor<[63,40],f32>, !torch.int -> !torch.vtensor<[1,63,40],f32>
    %int1 = torch.constant.int 1
    %1 = torch.aten.unsqueeze %0, %int1 : !torch.vtensor<[1,63,40],f32>, !torch.int -> !torch.vtensor<[1,1,63,40],f32>
    %2 = torch.aten.unsqueeze %arg1, %int0 : !torch.vtensor<[57,40],f32>, !torch.int -> !torch.vtensor<[1,57,40],f32>
    %3 = torch.aten.unsqueeze %2, %int1 : !torch.vtensor<[1,57,40],f32>, !torch.int -> !torch.vtensor<[1,1,57,40],f32>
    %4 = torch.aten.unsqueeze %arg3, %int0 : !torch.vtensor<[57,24],f32>, !torch.int -> !torch.vtensor<[1,57,24],f32>
    %5 = torch.aten.unsqueeze %4, %int1 : !torch.vtensor<[1,57,24],f32>, !torch.int -> !torch.vtensor<[1,1,57,24],f32>
    %6 = torch.aten.unsqueeze %arg2, %int0 : !torch.vtensor<[57],f32>, !torch.int -> !torch.vtensor<[1,57],f32>
    %7 = torch.aten.unsqueeze %6, %int1 : !torch.vtensor<[1,57],f32>, !torch.int -> !torch.vtensor<[1,1,57],f32>
    %int2 = torch.constant.int 2
    %8 = torch.aten.unsqueeze %7, %int2 : !torch.vtensor<[1,1,57],f32>, !torch.int -> !torch.vtensor<[1,1,1,57],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %9 = torch.aten.to.dtype %8, %int6, %false, %false, %none : !torch.vtensor<[1,1,1,57],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,1,57],f32>
    %10:2 = torch.operator "torch.hyper.attention"(query = %1, key = %3, value = %5, bias = %9, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[1,1,63,40],f32>, !torch.vtensor<[1,1,57,40],f32>, !torch.vtensor<[1,1,57,24],f32>, !torch.vtensor<[1,1,1,57],f32>) -> (!torch.vtensor<[1,1,63,24],f32>, !torch.vtensor<[1,1,63],f32>) 
    %int3 = torch.constant.int 3
    %11 = torch.prim.ListConstruct %int2, %int3, %int0, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %12 = torch.aten.permute %10#0, %11 : !torch.vtensor<[1,1,63,24],f32>, !torch.list<int> -> !torch.vtensor<[63,24,1,1],f32>
    %int-1 = torch.constant.int -1
    %13 = torch.aten.squeeze.dim %12, %int-1 : !torch.vtensor<[63,24,1,1],f32>, !torch.int -> !torch.vtensor<[63,24,1],f32>
    %14 = torch.aten.squeeze.dim %13, %int-1 : !torch.vtensor<[63,24,1],f32>, !torch.int -> !torch.vtensor<[63,24],f32>
    return %14 : !torch.vtensor<[63,24],f32>
  }
}
