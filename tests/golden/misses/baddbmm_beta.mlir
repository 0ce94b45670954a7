// Near miss `baddbmm_beta` of `baddbmm_alpha`: With beta=0.5 the input is a bias.
// Read as: full, bias, 4 heads, scale 0.25
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, scale = 0.25, algorithm = "exact") : (!torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31,31],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,31,160],f32>, %arg1: !torch.vtensor<[2,31,160],f32>, %arg2: !torch.vtensor<[2,31,160],f32>, %arg3: !torch.vtensor<[8,31,31],f32>) -> !torch.vtensor<[2,31,160],f32> {
    %int2 = torch.constant.int 2
    %int31 = torch.constant.int 31
    %int4 = torch.constant.int 4
    %int40 = torch.constant.int 40
    %0 = torch.prim.ListConstruct %int2, %int31, %int4, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.view %arg0, %0 : !torch.vtensor<[2,31,160],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,40],f32>
    %int1 = torch.constant.int 1
    %2 = torch.aten.transpose.int %1, %int1, %int2 : !torch.vtensor<[2,31,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,40],f32>
    %3 = torch.aten.view %arg1, %0 : !torch.vtensor<[2,31,160],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,40],f32>
    %4 = torch.aten.transpose.int %3, %int1, %int2 : !torch.vtensor<[2,31,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,40],f32>
    %5 = torch.aten.view %arg2, %0 : !torch.vtensor<[2,31,160],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,40],f32>
    %6 = torch.aten.transpose.int %5, %int1, %int2 : !torch.vtensor<[2,31,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,40],f32>
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %7 = torch.aten.arange %int4, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[4],si64>
    %int-1 = torch.constant.int -1
    %8 = torch.prim.ListConstruct %int1, %int-1, %int1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %9 = torch.aten.view %7, %8 : !torch.vtensor<[4],si64>, !torch.list<int> -> !torch.vtensor<[1,4,1,1],si64>
    %10 = torch.aten.arange %int2, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[2],si64>
    %11 = torch.prim.ListConstruct %int-1, %int1, %int1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %12 = torch.aten.view %10, %11 : !torch.vtensor<[2],si64>, !torch.list<int> -> !torch.vtensor<[2,1,1,1],si64>
    %13 = torch.aten.mul.Scalar %12, %int4 : !torch.vtensor<[2,1,1,1],si64>, !torch.int -> !torch.vtensor<[2,1,1,1],si64>
    %14 = torch.aten.add.Tensor %9, %13, %int1 : !torch.vtensor<[1,4,1,1],si64>, !torch.vtensor<[2,1,1,1],si64>, !torch.int -> !torch.vtensor<[2,4,1,1],si64>
    %15 = torch.aten.arange %int31, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[31],si64>
    %16 = torch.prim.ListConstruct %int1, %int1, %int-1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %17 = torch.aten.view %15, %16 : !torch.vtensor<[31],si64>, !torch.list<int> -> !torch.vtensor<[1,1,31,1],si64>
    %18 = torch.aten.arange %int31, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[31],si64>
    %19 = torch.prim.ListConstruct %int1, %int1, %int1, %int-1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %20 = torch.aten.view %18, %19 : !torch.vtensor<[31],si64>, !torch.list<int> -> !torch.vtensor<[1,1,1,31],si64>
    %21 = torch.prim.ListConstruct %14, %17, %20 : (!torch.vtensor<[2,4,1,1],si64>, !torch.vtensor<[1,1,31,1],si64>, !torch.vtensor<[1,1,1,31],si64>) -> !torch.list<optional<vtensor>>
    %22 = torch.aten.index.Tensor %arg3, %21 : !torch.vtensor<[8,31,31],f32>, !torch.list<optional<vtensor>> -> !torch.vtensor<[2,4,31,31],f32>
    %float5.000000e-01 = torch.constant.float 5.000000e-01
    %23 = torch.aten.mul.Scalar %22, %float5.000000e-01 : !torch.vtensor<[2,4,31,31],f32>, !torch.float -> !torch.vtensor<[2,4,31,31],f32>
    %int6 = torch.constant.int 6
    %24 = torch.aten.to.dtype %23, %int6, %false, %false, %none : !torch.vtensor<[2,4,31,31],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,31,31],f32>
    %int0 = torch.constant.int 0
    %25:2 = torch.operator "torch.hyper.attention"(query = %2, key = %4, value = %6, bias = %24, scale = 0.25, algorithm = "exact") : (!torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31,31],f32>) -> (!torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31],f32>) 
    %26 = torch.aten.flatten.using_ints %25#0, %int0, %int1 : !torch.vtensor<[2,4,31,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,31,40],f32>
    %27 = torch.prim.ListConstruct %int2, %int4, %int31, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %28 = torch.aten.view %26, %27 : !torch.vtensor<[8,31,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,31,40],f32>
    %29 = torch.aten.transpose.int %28, %int1, %int2 : !torch.vtensor<[2,4,31,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,31,4,40],f32>
    %int160 = torch.constant.int 160
    %30 = torch.prim.ListConstruct %int2, %int31, %int160 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %31 = torch.aten.reshape %29, %30 : !torch.vtensor<[2,31,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,31,160],f32>
    return %31 : !torch.vtensor<[2,31,160],f32>
  }
}
