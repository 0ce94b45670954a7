// Form `multiplied_then_without_nan`: … unless NaN is cleared afterwards.
// Read as: full, mask tensor, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,63,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,4,63,40],f32>, %arg1: !torch.vtensor<[3,4,63,40],f32>, %arg2: !torch.vtensor<[3,1,63,63],i1>, %arg3: !torch.vtensor<[3,4,63,40],f32>) -> !torch.vtensor<[3,4,63,40],f32> {
    %int1 = torch.constant.int 1
    %int0 = torch.constant.int 0
    %0 = torch.aten.select.int %arg2, %int1, %int0 : !torch.vtensor<[3,1,63,63],i1>, !torch.int, !torch.int -> !torch.vtensor<[3,63,63],i1>
    %1 = torch.aten.unsqueeze %0, %int1 : !torch.vtensor<[3,63,63],i1>, !torch.int -> !torch.vtensor<[3,1,63,63],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %float-Inf = torch.constant.float 0xFFF0000000000000
    %2 = torch.aten.where.Scalar %1, %float0.000000e00, %float-Inf : !torch.vtensor<[3,1,63,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[3,1,63,63],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %3 = torch.aten.to.dtype %2, %int6, %false, %false, %none : !torch.vtensor<[3,1,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,63,63],f32>
    %4:2 = torch.operator "torch.hyper.attention"(query = %arg1, key = %arg0, value = %arg3, bias = %3, algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,63,63],f32>) -> (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63],f32>) 
    return %4#0 : !torch.vtensor<[3,4,63,40],f32>
  }
}
