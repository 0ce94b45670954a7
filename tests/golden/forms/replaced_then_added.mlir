// Form `replaced_then_added`: GPT-Neo: the lowest number put in place, then another added. Where both forbid all keys, −inf is all there is.
// Read as: full, bias, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,63,63],f32>)
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
    %int63 = torch.constant.int 63
    %cpu = torch.constant.device "cpu"
    %1 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %int1 = torch.constant.int 1
    %int-1 = torch.constant.int -1
    %2 = torch.prim.ListConstruct %int1, %int1, %int1, %int-1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %3 = torch.aten.view %1, %2 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,1,63],si64>
    %4 = torch.aten.add.Scalar %3, %int1, %int1 : !torch.vtensor<[1,1,1,63],si64>, !torch.int, !torch.int -> !torch.vtensor<[1,1,1,63],si64>
    %5 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %6 = torch.prim.ListConstruct %int1, %int1, %int-1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %7 = torch.aten.view %5, %6 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,63,1],si64>
    %8 = torch.aten.mul.Scalar %7, %int-1 : !torch.vtensor<[1,1,63,1],si64>, !torch.int -> !torch.vtensor<[1,1,63,1],si64>
    %9 = torch.aten.add.Tensor %4, %8, %int1 : !torch.vtensor<[1,1,1,63],si64>, !torch.vtensor<[1,1,63,1],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],si64>
    %int0 = torch.constant.int 0
    %10 = torch.aten.le.Scalar %9, %int0 : !torch.vtensor<[1,1,63,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %float-3.402820e38 = torch.constant.float -3.4028234663852886E+38
    %11 = torch.aten.where.Scalar %10, %float0.000000e00, %float-3.402820e38 : !torch.vtensor<[1,1,63,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[1,1,63,63],f32>
    %12 = torch.aten.unsqueeze %0, %int1 : !torch.vtensor<[3,63],i1>, !torch.int -> !torch.vtensor<[3,1,63],i1>
    %int2 = torch.constant.int 2
    %13 = torch.aten.unsqueeze %12, %int2 : !torch.vtensor<[3,1,63],i1>, !torch.int -> !torch.vtensor<[3,1,1,63],i1>
    %14 = torch.aten.where.Scalar %13, %float0.000000e00, %float-3.402820e38 : !torch.vtensor<[3,1,1,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[3,1,1,63],f32>
    %15 = torch.aten.add.Tensor %11, %14, %int1 : !torch.vtensor<[1,1,63,63],f32>, !torch.vtensor<[3,1,1,63],f32>, !torch.int -> !torch.vtensor<[3,1,63,63],f32>
    %int6 = torch.constant.int 6
    %16 = torch.aten.to.dtype %15, %int6, %false, %false, %none : !torch.vtensor<[3,1,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,63,63],f32>
    %17:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg3, bias = %16, empty_rows = "nan", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,63,63],f32>) -> (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63],f32>) 
    return %17#0 : !torch.vtensor<[3,4,63,40],f32>
  }
}
