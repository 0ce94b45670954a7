// Form `hard_and_soft_masks`: A −inf fill and a finite one: where both forbid, the −inf wins, so only the causal part may be lifted.
// Read as: causal, bias, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, causal_offset = 0, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,1,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,4,63,40],f32>, %arg1: !torch.vtensor<[3,4,63,40],f32>, %arg2: !torch.vtensor<[3,63],si64>, %arg3: !torch.vtensor<[3,4,63,40],f32>) -> !torch.vtensor<[3,4,63,40],f32> {
    %int11 = torch.constant.int 11
    %false = torch.constant.bool false
    %none = torch.constant.none
    %0 = torch.aten.to.dtype %arg2, %int11, %false, %false, %none : !torch.vtensor<[3,63],si64>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,63],i1>
    %int1 = torch.constant.int 1
    %1 = torch.aten.unsqueeze %0, %int1 : !torch.vtensor<[3,63],i1>, !torch.int -> !torch.vtensor<[3,1,63],i1>
    %int2 = torch.constant.int 2
    %2 = torch.aten.unsqueeze %1, %int2 : !torch.vtensor<[3,1,63],i1>, !torch.int -> !torch.vtensor<[3,1,1,63],i1>
    %float-0.000000e00 = torch.constant.float -0.000000e+00
    %float-1.000000e30 = torch.constant.float -1.0000000150474662E+30
    %3 = torch.aten.where.Scalar %2, %float-0.000000e00, %float-1.000000e30 : !torch.vtensor<[3,1,1,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[3,1,1,63],f32>
    %int6 = torch.constant.int 6
    %4 = torch.aten.to.dtype %3, %int6, %false, %false, %none : !torch.vtensor<[3,1,1,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,1,63],f32>
    %5:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg3, bias = %4, causal_offset = 0, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,1,63],f32>) -> (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63],f32>) 
    return %5#0 : !torch.vtensor<[3,4,63,40],f32>
  }
}
