// Near miss `causal_or_padding` of `causal_and_padding`: An or of the two is another mask.
// Read as: full, mask tensor, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,63,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,63],si64>, %arg1: !torch.vtensor<[3,4,63,40],f32>, %arg2: !torch.vtensor<[3,4,63,40],f32>, %arg3: !torch.vtensor<[3,4,63,40],f32>) -> !torch.vtensor<[3,4,63,40],f32> {
    %int63 = torch.constant.int 63
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %0 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %int0 = torch.constant.int 0
    %1 = torch.aten.unsqueeze %0, %int0 : !torch.vtensor<[63],si64>, !torch.int -> !torch.vtensor<[1,63],si64>
    %int1 = torch.constant.int 1
    %2 = torch.aten.unsqueeze %0, %int1 : !torch.vtensor<[63],si64>, !torch.int -> !torch.vtensor<[63,1],si64>
    %3 = torch.aten.le.Tensor %1, %2 : !torch.vtensor<[1,63],si64>, !torch.vtensor<[63,1],si64> -> !torch.vtensor<[63,63],i1>
    %4 = torch.aten.unsqueeze %3, %int0 : !torch.vtensor<[63,63],i1>, !torch.int -> !torch.vtensor<[1,63,63],i1>
    %5 = torch.aten.unsqueeze %4, %int1 : !torch.vtensor<[1,63,63],i1>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %6 = torch.aten.unsqueeze %arg0, %int1 : !torch.vtensor<[3,63],si64>, !torch.int -> !torch.vtensor<[3,1,63],si64>
    %int2 = torch.constant.int 2
    %7 = torch.aten.unsqueeze %6, %int2 : !torch.vtensor<[3,1,63],si64>, !torch.int -> !torch.vtensor<[3,1,1,63],si64>
    %int11 = torch.constant.int 11
    %8 = torch.aten.to.dtype %7, %int11, %false, %false, %none : !torch.vtensor<[3,1,1,63],si64>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,1,63],i1>
    %9 = torch.aten.__or__.Tensor %5, %8 : !torch.vtensor<[1,1,63,63],i1>, !torch.vtensor<[3,1,1,63],i1> -> !torch.vtensor<[3,1,63,63],i1>
    %10 = torch.aten.select.int %9, %int1, %int0 : !torch.vtensor<[3,1,63,63],i1>, !torch.int, !torch.int -> !torch.vtensor<[3,63,63],i1>
    %11 = torch.aten.unsqueeze %10, %int1 : !torch.vtensor<[3,63,63],i1>, !torch.int -> !torch.vtensor<[3,1,63,63],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %float-Inf = torch.constant.float 0xFFF0000000000000
    %12 = torch.aten.where.Scalar %11, %float0.000000e00, %float-Inf : !torch.vtensor<[3,1,63,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[3,1,63,63],f32>
    %int6 = torch.constant.int 6
    %13 = torch.aten.to.dtype %12, %int6, %false, %false, %none : !torch.vtensor<[3,1,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,63,63],f32>
    %14:2 = torch.operator "torch.hyper.attention"(query = %arg2, key = %arg1, value = %arg3, bias = %13, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,1,63,63],f32>) -> (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63],f32>) 
    return %14#0 : !torch.vtensor<[3,4,63,40],f32>
  }
}
