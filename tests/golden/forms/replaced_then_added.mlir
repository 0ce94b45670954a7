// Form `replaced_then_added`: GPT-Neo: the lowest number put in place, then another added. Where both forbid all keys, −inf is all there is.
// Read as: full, bias, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,63,63],f32>)
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
    %int6 = torch.constant.int 6
    %3 = torch.aten.to.dtype %2, %int6, %false, %false, %none : !torch.vtensor<[3,1,1,63],i1>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,1,63],f32>
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %4 = torch.aten.rsub.Scalar %3, %float1.000000e00, %int1 : !torch.vtensor<[3,1,1,63],f32>, !torch.float, !torch.int -> !torch.vtensor<[3,1,1,63],f32>
    %float-3.402820e38 = torch.constant.float -3.4028234663852886E+38
    %5 = torch.aten.mul.Scalar %4, %float-3.402820e38 : !torch.vtensor<[3,1,1,63],f32>, !torch.float -> !torch.vtensor<[3,1,1,63],f32>
    %int63 = torch.constant.int 63
    %cpu = torch.constant.device "cpu"
    %6 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %int-1 = torch.constant.int -1
    %7 = torch.prim.ListConstruct %int1, %int1, %int1, %int-1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %8 = torch.aten.view %6, %7 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,1,63],si64>
    %9 = torch.aten.add.Scalar %8, %int1, %int1 : !torch.vtensor<[1,1,1,63],si64>, !torch.int, !torch.int -> !torch.vtensor<[1,1,1,63],si64>
    %10 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %11 = torch.prim.ListConstruct %int1, %int1, %int-1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %12 = torch.aten.view %10, %11 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,63,1],si64>
    %13 = torch.aten.mul.Scalar %12, %int-1 : !torch.vtensor<[1,1,63,1],si64>, !torch.int -> !torch.vtensor<[1,1,63,1],si64>
    %14 = torch.aten.add.Tensor %9, %13, %int1 : !torch.vtensor<[1,1,1,63],si64>, !torch.vtensor<[1,1,63,1],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],si64>
    %int0 = torch.constant.int 0
    %15 = torch.aten.le.Scalar %14, %int0 : !torch.vtensor<[1,1,63,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %16 = torch.aten.where.Scalar %15, %float0.000000e00, %float-3.402820e38 : !torch.vtensor<[1,1,63,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[1,1,63,63],f32>
    %17 = torch.aten.select.int %5, %int2, %int0 : !torch.vtensor<[3,1,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[3,1,63],f32>
    %18 = torch.aten.select.int %17, %int1, %int0 : !torch.vtensor<[3,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[3,63],f32>
    %19 = torch.aten.unsqueeze %18, %int1 : !torch.vtensor<[3,63],f32>, !torch.int -> !torch.vtensor<[3,1,63],f32>
    %20 = torch.aten.unsqueeze %19, %int2 : !torch.vtensor<[3,1,63],f32>, !torch.int -> !torch.vtensor<[3,1,1,63],f32>
    %21 = torch.aten.add.Tensor %16, %20, %int1 : !torch.vtensor<[1,1,63,63],f32>, !torch.vtensor<[3,1,1,63],f32>, !torch.int -> !torch.vtensor<[3,1,63,63],f32>
    %22 = torch.aten.to.dtype %21, %int6, %false, %false, %none : !torch.vtensor<[3,1,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,63,63],f32>
    %23:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg3, bias = %22, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,63,63],f32>) -> (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63],f32>) 
    return %23#0 : !torch.vtensor<[3,4,63,40],f32>
  }
}
