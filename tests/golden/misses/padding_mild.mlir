// Near miss `padding_mild` of `padding_extended`: -5 for padding is a bias.
// Read as: full, bias, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, scale = 0.15811388300841897, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,1,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,63],si64>, %arg1: !torch.vtensor<[3,4,63,40],f32>, %arg2: !torch.vtensor<[3,4,63,40],f32>, %arg3: !torch.vtensor<[3,4,63,40],f32>) -> !torch.vtensor<[3,4,63,40],f32> {
    %int1 = torch.constant.int 1
    %0 = torch.aten.unsqueeze %arg0, %int1 : !torch.vtensor<[3,63],si64>, !torch.int -> !torch.vtensor<[3,1,63],si64>
    %int2 = torch.constant.int 2
    %1 = torch.aten.unsqueeze %0, %int2 : !torch.vtensor<[3,1,63],si64>, !torch.int -> !torch.vtensor<[3,1,1,63],si64>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %2 = torch.aten.to.dtype %1, %int6, %false, %false, %none : !torch.vtensor<[3,1,1,63],si64>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,1,63],f32>
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %3 = torch.aten.rsub.Scalar %2, %float1.000000e00, %int1 : !torch.vtensor<[3,1,1,63],f32>, !torch.float, !torch.int -> !torch.vtensor<[3,1,1,63],f32>
    %float-5.000000e00 = torch.constant.float -5.000000e+00
    %4 = torch.aten.mul.Scalar %3, %float-5.000000e00 : !torch.vtensor<[3,1,1,63],f32>, !torch.float -> !torch.vtensor<[3,1,1,63],f32>
    %int0 = torch.constant.int 0
    %5 = torch.aten.select.int %4, %int2, %int0 : !torch.vtensor<[3,1,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[3,1,63],f32>
    %6 = torch.aten.select.int %5, %int1, %int0 : !torch.vtensor<[3,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[3,63],f32>
    %7 = torch.aten.unsqueeze %6, %int1 : !torch.vtensor<[3,63],f32>, !torch.int -> !torch.vtensor<[3,1,63],f32>
    %8 = torch.aten.unsqueeze %7, %int2 : !torch.vtensor<[3,1,63],f32>, !torch.int -> !torch.vtensor<[3,1,1,63],f32>
    %9 = torch.aten.to.dtype %8, %int6, %false, %false, %none : !torch.vtensor<[3,1,1,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,1,63],f32>
    %10:2 = torch.operator "torch.hyper.attention"(query = %arg1, key = %arg2, value = %arg3, bias = %9, scale = 0.15811388300841897, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,1,63],f32>) -> (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63],f32>) 
    return %10#0 : !torch.vtensor<[3,4,63,40],f32>
  }
}
