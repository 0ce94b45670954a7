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
    %int0 = torch.constant.int 0
    %7 = torch.prim.ListConstruct %int2, %int4 : (!torch.int, !torch.int) -> !torch.list<int>
    %8 = torch.aten.unflatten.int %arg3, %int0, %7 : !torch.vtensor<[8,31,31],f32>, !torch.int, !torch.list<int> -> !torch.vtensor<[2,4,31,31],f32>
    %float5.000000e-01 = torch.constant.float 5.000000e-01
    %9 = torch.aten.mul.Scalar %8, %float5.000000e-01 : !torch.vtensor<[2,4,31,31],f32>, !torch.float -> !torch.vtensor<[2,4,31,31],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %10 = torch.aten.to.dtype %9, %int6, %false, %false, %none : !torch.vtensor<[2,4,31,31],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,31,31],f32>
    %11:2 = torch.operator "torch.hyper.attention"(query = %2, key = %4, value = %6, bias = %10, scale = 0.25, algorithm = "exact") : (!torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31,31],f32>) -> (!torch.vtensor<[2,4,31,40],f32>, !torch.vtensor<[2,4,31],f32>) 
    %12 = torch.aten.flatten.using_ints %11#0, %int0, %int1 : !torch.vtensor<[2,4,31,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,31,40],f32>
    %13 = torch.prim.ListConstruct %int2, %int4, %int31, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %14 = torch.aten.view %12, %13 : !torch.vtensor<[8,31,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,31,40],f32>
    %15 = torch.aten.transpose.int %14, %int1, %int2 : !torch.vtensor<[2,4,31,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,31,4,40],f32>
    %int160 = torch.constant.int 160
    %16 = torch.prim.ListConstruct %int2, %int31, %int160 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %17 = torch.aten.reshape %15, %16 : !torch.vtensor<[2,31,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,31,160],f32>
    return %17 : !torch.vtensor<[2,31,160],f32>
  }
}
