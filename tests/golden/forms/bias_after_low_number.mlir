// Form `bias_after_low_number`: A bias with a −inf of its own that is added to the number put in place.
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
    %int1 = torch.constant.int 1
    %0 = torch.aten.slice.Tensor %arg1, %int0, %int0, %int1, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,4,63,40],f32>
    %1 = torch.aten.slice.Tensor %0, %int1, %int0, %int1, %int1 : !torch.vtensor<[1,4,63,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,1,63,40],f32>
    %int3 = torch.constant.int 3
    %2 = torch.aten.select.int %1, %int3, %int0 : !torch.vtensor<[1,1,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[1,1,63],f32>
    %none = torch.constant.none
    %3 = torch.aten.clamp %2, %int0, %none : !torch.vtensor<[1,1,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[1,1,63],f32>
    %4 = torch.aten.log %3 : !torch.vtensor<[1,1,63],f32> -> !torch.vtensor<[1,1,63],f32>
    %int63 = torch.constant.int 63
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %5 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %int-1 = torch.constant.int -1
    %6 = torch.prim.ListConstruct %int1, %int1, %int1, %int-1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %7 = torch.aten.view %5, %6 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,1,63],si64>
    %int-39 = torch.constant.int -39
    %8 = torch.aten.add.Scalar %7, %int-39, %int1 : !torch.vtensor<[1,1,1,63],si64>, !torch.int, !torch.int -> !torch.vtensor<[1,1,1,63],si64>
    %9 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %10 = torch.prim.ListConstruct %int1, %int1, %int-1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %11 = torch.aten.view %9, %10 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,63,1],si64>
    %12 = torch.aten.mul.Scalar %11, %int-1 : !torch.vtensor<[1,1,63,1],si64>, !torch.int -> !torch.vtensor<[1,1,63,1],si64>
    %13 = torch.aten.add.Tensor %8, %12, %int1 : !torch.vtensor<[1,1,1,63],si64>, !torch.vtensor<[1,1,63,1],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],si64>
    %14 = torch.aten.le.Scalar %13, %int0 : !torch.vtensor<[1,1,63,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %15 = torch.aten.unsqueeze %arg2, %int0 : !torch.vtensor<[63,63],i1>, !torch.int -> !torch.vtensor<[1,63,63],i1>
    %16 = torch.aten.unsqueeze %15, %int1 : !torch.vtensor<[1,63,63],i1>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %float-3.402820e38 = torch.constant.float -3.4028234663852886E+38
    %17 = torch.aten.where.Scalar %16, %float0.000000e00, %float-3.402820e38 : !torch.vtensor<[1,1,63,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[1,1,63,63],f32>
    %18 = torch.aten.select.int %4, %int1, %int0 : !torch.vtensor<[1,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[1,63],f32>
    %19 = torch.aten.select.int %18, %int0, %int0 : !torch.vtensor<[1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[63],f32>
    %20 = torch.aten.unsqueeze %19, %int0 : !torch.vtensor<[63],f32>, !torch.int -> !torch.vtensor<[1,63],f32>
    %21 = torch.aten.unsqueeze %20, %int1 : !torch.vtensor<[1,63],f32>, !torch.int -> !torch.vtensor<[1,1,63],f32>
    %int2 = torch.constant.int 2
    %22 = torch.aten.unsqueeze %21, %int2 : !torch.vtensor<[1,1,63],f32>, !torch.int -> !torch.vtensor<[1,1,1,63],f32>
    %23 = torch.aten.add.Tensor %17, %22, %int1 : !torch.vtensor<[1,1,63,63],f32>, !torch.vtensor<[1,1,1,63],f32>, !torch.int -> !torch.vtensor<[1,1,63,63],f32>
    %float-1.000000e30 = torch.constant.float -1.0000000150474662E+30
    %24 = torch.aten.where.ScalarOther %14, %23, %float-1.000000e30 : !torch.vtensor<[1,1,63,63],i1>, !torch.vtensor<[1,1,63,63],f32>, !torch.float -> !torch.vtensor<[1,1,63,63],f32>
    %int6 = torch.constant.int 6
    %25 = torch.aten.to.dtype %24, %int6, %false, %false, %none : !torch.vtensor<[1,1,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,63,63],f32>
    %26:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg3, bias = %25, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[1,1,63,63],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %26#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
