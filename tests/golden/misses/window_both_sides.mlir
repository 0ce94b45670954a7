// Near miss `window_both_sides` of `sliding_window`: A band around the diagonal: |i - j| < 5.
// Read as: full, mask tensor, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[2,4,33,40],f32>, !torch.vtensor<[2,4,33,40],f32>, !torch.vtensor<[2,4,33,40],f32>, !torch.vtensor<[1,1,33,33],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,33,40],f32>, %arg1: !torch.vtensor<[2,4,33,40],f32>, %arg2: !torch.vtensor<[2,4,33,40],f32>) -> !torch.vtensor<[2,4,33,40],f32> {
    %int33 = torch.constant.int 33
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %0 = torch.aten.arange %int33, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[33],si64>
    %int0 = torch.constant.int 0
    %1 = torch.aten.unsqueeze %0, %int0 : !torch.vtensor<[33],si64>, !torch.int -> !torch.vtensor<[1,33],si64>
    %int1 = torch.constant.int 1
    %2 = torch.aten.unsqueeze %0, %int1 : !torch.vtensor<[33],si64>, !torch.int -> !torch.vtensor<[33,1],si64>
    %3 = torch.aten.sub.Tensor %1, %2, %int1 : !torch.vtensor<[1,33],si64>, !torch.vtensor<[33,1],si64>, !torch.int -> !torch.vtensor<[33,33],si64>
    %4 = torch.aten.abs %3 : !torch.vtensor<[33,33],si64> -> !torch.vtensor<[33,33],si64>
    %5 = torch.aten.unsqueeze %4, %int0 : !torch.vtensor<[33,33],si64>, !torch.int -> !torch.vtensor<[1,33,33],si64>
    %6 = torch.aten.unsqueeze %5, %int1 : !torch.vtensor<[1,33,33],si64>, !torch.int -> !torch.vtensor<[1,1,33,33],si64>
    %int5 = torch.constant.int 5
    %7 = torch.aten.lt.Scalar %6, %int5 : !torch.vtensor<[1,1,33,33],si64>, !torch.int -> !torch.vtensor<[1,1,33,33],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %float-Inf = torch.constant.float 0xFFF0000000000000
    %8 = torch.aten.where.Scalar %7, %float0.000000e00, %float-Inf : !torch.vtensor<[1,1,33,33],i1>, !torch.float, !torch.float -> !torch.vtensor<[1,1,33,33],f32>
    %int6 = torch.constant.int 6
    %9 = torch.aten.to.dtype %8, %int6, %false, %false, %none : !torch.vtensor<[1,1,33,33],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,33,33],f32>
    %10:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg2, bias = %9, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[2,4,33,40],f32>, !torch.vtensor<[2,4,33,40],f32>, !torch.vtensor<[2,4,33,40],f32>, !torch.vtensor<[1,1,33,33],f32>) -> (!torch.vtensor<[2,4,33,40],f32>, !torch.vtensor<[2,4,33],f32>) 
    return %10#0 : !torch.vtensor<[2,4,33,40],f32>
  }
}
