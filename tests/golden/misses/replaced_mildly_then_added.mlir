// Near miss `replaced_mildly_then_added` of `replaced_then_added`: −1e4 put in place does not swallow what is added to it: keys stand twice, with −1e4 and with a score.
// Read as: full, bias, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,126,40],f32>, !torch.vtensor<[3,4,126,40],f32>, !torch.vtensor<[3,1,63,126],f32>)
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
    %float-1.000000e30 = torch.constant.float -1.000000e+30
    %5 = torch.aten.mul.Scalar %4, %float-1.000000e30 : !torch.vtensor<[3,1,1,63],f32>, !torch.float -> !torch.vtensor<[3,1,1,63],f32>
    %6 = torch.aten.zeros_like %arg1, %none, %none, %none, %false, %none : !torch.vtensor<[3,4,63,40],f32>, !torch.none, !torch.none, !torch.none, !torch.bool, !torch.none -> !torch.vtensor<[3,4,63,40],f32>
    %7 = torch.prim.ListConstruct %arg1, %6 : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>) -> !torch.list<vtensor>
    %8 = torch.aten.cat %7, %int2 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[3,4,126,40],f32>
    %9 = torch.prim.ListConstruct %arg3, %arg3 : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>) -> !torch.list<vtensor>
    %10 = torch.aten.cat %9, %int2 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[3,4,126,40],f32>
    %int63 = torch.constant.int 63
    %cpu = torch.constant.device "cpu"
    %11 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %int-1 = torch.constant.int -1
    %12 = torch.prim.ListConstruct %int1, %int1, %int1, %int-1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %13 = torch.aten.view %11, %12 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,1,63],si64>
    %14 = torch.aten.add.Scalar %13, %int1, %int1 : !torch.vtensor<[1,1,1,63],si64>, !torch.int, !torch.int -> !torch.vtensor<[1,1,1,63],si64>
    %15 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %16 = torch.prim.ListConstruct %int1, %int1, %int-1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %17 = torch.aten.view %15, %16 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,63,1],si64>
    %18 = torch.aten.mul.Scalar %17, %int-1 : !torch.vtensor<[1,1,63,1],si64>, !torch.int -> !torch.vtensor<[1,1,63,1],si64>
    %19 = torch.aten.add.Tensor %14, %18, %int1 : !torch.vtensor<[1,1,1,63],si64>, !torch.vtensor<[1,1,63,1],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],si64>
    %int0 = torch.constant.int 0
    %20 = torch.aten.le.Scalar %19, %int0 : !torch.vtensor<[1,1,63,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %float-1.000000e04 = torch.constant.float -1.000000e+04
    %21 = torch.aten.where.Scalar %20, %float0.000000e00, %float-1.000000e04 : !torch.vtensor<[1,1,63,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[1,1,63,63],f32>
    %22 = torch.aten.select.int %5, %int2, %int0 : !torch.vtensor<[3,1,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[3,1,63],f32>
    %23 = torch.aten.select.int %22, %int1, %int0 : !torch.vtensor<[3,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[3,63],f32>
    %24 = torch.aten.unsqueeze %23, %int1 : !torch.vtensor<[3,63],f32>, !torch.int -> !torch.vtensor<[3,1,63],f32>
    %25 = torch.aten.unsqueeze %24, %int2 : !torch.vtensor<[3,1,63],f32>, !torch.int -> !torch.vtensor<[3,1,1,63],f32>
    %26 = torch.aten.add.Tensor %21, %25, %int1 : !torch.vtensor<[1,1,63,63],f32>, !torch.vtensor<[3,1,1,63],f32>, !torch.int -> !torch.vtensor<[3,1,63,63],f32>
    %27 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %28 = torch.aten.view %27, %16 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,63,1],si64>
    %29 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %30 = torch.aten.view %29, %12 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,1,63],si64>
    %31 = torch.aten.mul.Scalar %30, %int-1 : !torch.vtensor<[1,1,1,63],si64>, !torch.int -> !torch.vtensor<[1,1,1,63],si64>
    %32 = torch.aten.add.Tensor %28, %31, %int1 : !torch.vtensor<[1,1,63,1],si64>, !torch.vtensor<[1,1,1,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],si64>
    %33 = torch.aten.le.Scalar %32, %int0 : !torch.vtensor<[1,1,63,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %float-Inf = torch.constant.float 0xFFF0000000000000
    %34 = torch.aten.where.ScalarSelf %33, %float-Inf, %26 : !torch.vtensor<[1,1,63,63],i1>, !torch.float, !torch.vtensor<[3,1,63,63],f32> -> !torch.vtensor<[3,1,63,63],f32>
    %35 = torch.aten.where.ScalarOther %33, %26, %float-Inf : !torch.vtensor<[1,1,63,63],i1>, !torch.vtensor<[3,1,63,63],f32>, !torch.float -> !torch.vtensor<[3,1,63,63],f32>
    %36 = torch.prim.ListConstruct %int-1, %int-1, %int-1, %int63 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %37 = torch.aten.expand %34, %36, %false : !torch.vtensor<[3,1,63,63],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,1,63,63],f32>
    %38 = torch.aten.expand %35, %36, %false : !torch.vtensor<[3,1,63,63],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,1,63,63],f32>
    %39 = torch.prim.ListConstruct %37, %38 : (!torch.vtensor<[3,1,63,63],f32>, !torch.vtensor<[3,1,63,63],f32>) -> !torch.list<vtensor>
    %40 = torch.aten.cat %39, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[3,1,63,126],f32>
    %41:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %8, value = %10, bias = %40, empty_rows = "nan_added", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,126,40],f32>, !torch.vtensor<[3,4,126,40],f32>, !torch.vtensor<[3,1,63,126],f32>) -> (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63],f32>) 
    return %41#0 : !torch.vtensor<[3,4,63,40],f32>
  }
}
