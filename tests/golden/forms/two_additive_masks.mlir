// Form `two_additive_masks`: Two masks added one after the other; the left-padded rows are empty, so they must stay what eager gives.
// Read as: full, bias, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,1,63,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,63],si64>, %arg2: !torch.vtensor<[2,4,63,40],f32>, %arg3: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int1 = torch.constant.int 1
    %0 = torch.aten.unsqueeze %arg1, %int1 : !torch.vtensor<[2,63],si64>, !torch.int -> !torch.vtensor<[2,1,63],si64>
    %int2 = torch.constant.int 2
    %1 = torch.aten.unsqueeze %0, %int2 : !torch.vtensor<[2,1,63],si64>, !torch.int -> !torch.vtensor<[2,1,1,63],si64>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %2 = torch.aten.to.dtype %1, %int6, %false, %false, %none : !torch.vtensor<[2,1,1,63],si64>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,1,1,63],f32>
    %3 = torch.aten.rsub.Scalar %2, %int1, %int1 : !torch.vtensor<[2,1,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,1,1,63],f32>
    %float-3.402820e38 = torch.constant.float -3.4028234663852886E+38
    %4 = torch.aten.mul.Scalar %3, %float-3.402820e38 : !torch.vtensor<[2,1,1,63],f32>, !torch.float -> !torch.vtensor<[2,1,1,63],f32>
    %int63 = torch.constant.int 63
    %cpu = torch.constant.device "cpu"
    %5 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %int-1 = torch.constant.int -1
    %6 = torch.prim.ListConstruct %int1, %int1, %int-1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %7 = torch.aten.view %5, %6 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,63,1],si64>
    %8 = torch.aten.add.Scalar %7, %int1, %int1 : !torch.vtensor<[1,1,63,1],si64>, !torch.int, !torch.int -> !torch.vtensor<[1,1,63,1],si64>
    %9 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %10 = torch.prim.ListConstruct %int1, %int1, %int1, %int-1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %11 = torch.aten.view %9, %10 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,1,63],si64>
    %12 = torch.aten.mul.Scalar %11, %int-1 : !torch.vtensor<[1,1,1,63],si64>, !torch.int -> !torch.vtensor<[1,1,1,63],si64>
    %13 = torch.aten.add.Tensor %8, %12, %int1 : !torch.vtensor<[1,1,63,1],si64>, !torch.vtensor<[1,1,1,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],si64>
    %int0 = torch.constant.int 0
    %14 = torch.aten.le.Scalar %13, %int0 : !torch.vtensor<[1,1,63,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %15 = torch.aten.where.Scalar %14, %float-3.402820e38, %float0.000000e00 : !torch.vtensor<[1,1,63,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[1,1,63,63],f32>
    %16 = torch.aten.select.int %4, %int2, %int0 : !torch.vtensor<[2,1,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,1,63],f32>
    %17 = torch.aten.select.int %16, %int1, %int0 : !torch.vtensor<[2,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,63],f32>
    %18 = torch.aten.unsqueeze %17, %int1 : !torch.vtensor<[2,63],f32>, !torch.int -> !torch.vtensor<[2,1,63],f32>
    %19 = torch.aten.unsqueeze %18, %int2 : !torch.vtensor<[2,1,63],f32>, !torch.int -> !torch.vtensor<[2,1,1,63],f32>
    %20 = torch.aten.add.Tensor %15, %19, %int1 : !torch.vtensor<[1,1,63,63],f32>, !torch.vtensor<[2,1,1,63],f32>, !torch.int -> !torch.vtensor<[2,1,63,63],f32>
    %21 = torch.aten.to.dtype %20, %int6, %false, %false, %none : !torch.vtensor<[2,1,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,1,63,63],f32>
    %22:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg2, value = %arg3, bias = %21, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,1,63,63],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %22#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
