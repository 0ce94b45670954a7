// Form `low_number_over_infinite`: The lowest number put in place of a −inf undoes it: a row without keys is the mean of what was given up last.
// Read as: full, bias, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[1,1,63,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[63,63],i1>, %arg3: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int0 = torch.constant.int 0
    %0 = torch.aten.unsqueeze %arg2, %int0 : !torch.vtensor<[63,63],i1>, !torch.int -> !torch.vtensor<[1,63,63],i1>
    %int1 = torch.constant.int 1
    %1 = torch.aten.unsqueeze %0, %int1 : !torch.vtensor<[1,63,63],i1>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %int63 = torch.constant.int 63
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %2 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %int-1 = torch.constant.int -1
    %3 = torch.prim.ListConstruct %int1, %int1, %int-1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %4 = torch.aten.view %2, %3 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,63,1],si64>
    %5 = torch.aten.add.Scalar %4, %int1, %int1 : !torch.vtensor<[1,1,63,1],si64>, !torch.int, !torch.int -> !torch.vtensor<[1,1,63,1],si64>
    %6 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %7 = torch.prim.ListConstruct %int1, %int1, %int1, %int-1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %8 = torch.aten.view %6, %7 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,1,63],si64>
    %9 = torch.aten.mul.Scalar %8, %int-1 : !torch.vtensor<[1,1,1,63],si64>, !torch.int -> !torch.vtensor<[1,1,1,63],si64>
    %10 = torch.aten.add.Tensor %5, %9, %int1 : !torch.vtensor<[1,1,63,1],si64>, !torch.vtensor<[1,1,1,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],si64>
    %11 = torch.aten.le.Scalar %10, %int0 : !torch.vtensor<[1,1,63,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %float-Inf = torch.constant.float 0xFFF0000000000000
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %12 = torch.aten.where.Scalar %11, %float-Inf, %float0.000000e00 : !torch.vtensor<[1,1,63,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[1,1,63,63],f32>
    %float-3.402820e38 = torch.constant.float -3.4028234663852886E+38
    %13 = torch.aten.where.ScalarOther %1, %12, %float-3.402820e38 : !torch.vtensor<[1,1,63,63],i1>, !torch.vtensor<[1,1,63,63],f32>, !torch.float -> !torch.vtensor<[1,1,63,63],f32>
    %int6 = torch.constant.int 6
    %14 = torch.aten.to.dtype %13, %int6, %false, %false, %none : !torch.vtensor<[1,1,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,63,63],f32>
    %15:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg3, bias = %14, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[1,1,63,63],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %15#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
