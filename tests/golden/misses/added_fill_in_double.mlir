// Near miss `added_fill_in_double` of `hard_and_soft_masks`: -1e9 swallows a score in float32, not in float64: a row without keys keeps its weights.
// Read as: full, bias, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f64>, !torch.vtensor<[3,4,63,40],f64>, !torch.vtensor<[3,4,63,40],f64>, !torch.vtensor<[3,1,1,63],f64>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,4,63,40],f64>, %arg1: !torch.vtensor<[3,4,63,40],f64>, %arg2: !torch.vtensor<[3,63],si64>, %arg3: !torch.vtensor<[3,4,63,40],f64>) -> !torch.vtensor<[3,4,63,40],f64> {
    %int11 = torch.constant.int 11
    %false = torch.constant.bool false
    %none = torch.constant.none
    %0 = torch.aten.to.dtype %arg2, %int11, %false, %false, %none : !torch.vtensor<[3,63],si64>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,63],i1>
    %int1 = torch.constant.int 1
    %1 = torch.aten.unsqueeze %0, %int1 : !torch.vtensor<[3,63],i1>, !torch.int -> !torch.vtensor<[3,1,63],i1>
    %int2 = torch.constant.int 2
    %2 = torch.aten.unsqueeze %1, %int2 : !torch.vtensor<[3,1,63],i1>, !torch.int -> !torch.vtensor<[3,1,1,63],i1>
    %int7 = torch.constant.int 7
    %3 = torch.aten.to.dtype %2, %int7, %false, %false, %none : !torch.vtensor<[3,1,1,63],i1>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,1,63],f64>
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %4 = torch.aten.rsub.Scalar %3, %float1.000000e00, %int1 : !torch.vtensor<[3,1,1,63],f64>, !torch.float, !torch.int -> !torch.vtensor<[3,1,1,63],f64>
    %float-1.000000e09 = torch.constant.float -1.000000e+09
    %5 = torch.aten.mul.Scalar %4, %float-1.000000e09 : !torch.vtensor<[3,1,1,63],f64>, !torch.float -> !torch.vtensor<[3,1,1,63],f64>
    %int0 = torch.constant.int 0
    %6 = torch.aten.select.int %5, %int2, %int0 : !torch.vtensor<[3,1,1,63],f64>, !torch.int, !torch.int -> !torch.vtensor<[3,1,63],f64>
    %7 = torch.aten.select.int %6, %int1, %int0 : !torch.vtensor<[3,1,63],f64>, !torch.int, !torch.int -> !torch.vtensor<[3,63],f64>
    %8 = torch.aten.unsqueeze %7, %int1 : !torch.vtensor<[3,63],f64>, !torch.int -> !torch.vtensor<[3,1,63],f64>
    %9 = torch.aten.unsqueeze %8, %int2 : !torch.vtensor<[3,1,63],f64>, !torch.int -> !torch.vtensor<[3,1,1,63],f64>
    %10 = torch.aten.to.dtype %9, %int7, %false, %false, %none : !torch.vtensor<[3,1,1,63],f64>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,1,63],f64>
    %11:2 = torch.operator "torch.hyper.attention"(query = %arg1, key = %arg0, value = %arg3, bias = %10, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f64>, !torch.vtensor<[3,4,63,40],f64>, !torch.vtensor<[3,4,63,40],f64>, !torch.vtensor<[3,1,1,63],f64>) -> (!torch.vtensor<[3,4,63,40],f64>, !torch.vtensor<[3,4,63],f32>) 
    return %11#0 : !torch.vtensor<[3,4,63,40],f64>
  }
}
