// Near miss `sdpa_bool_anticausal` of `sdpa_bool_causal`
// Read as: full, mask tensor, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.constant.str "zero"
// CHECK: torch.operator "torch.hyper.attention"({{.*}}) : (!torch.vtensor<{{\[}}2,4,63,40],f32>, !torch.vtensor<{{\[}}2,4,63,40],f32>, !torch.vtensor<{{\[}}2,4,63,40],f32>,
// CHECK-SAME: {{(!torch.vtensor<[^>]*)?}}!torch.none, !torch.vtensor<
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int63 = torch.constant.int 63
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %0 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %int0 = torch.constant.int 0
    %1 = torch.aten.unsqueeze %0, %int0 : !torch.vtensor<[63],si64>, !torch.int -> !torch.vtensor<[1,63],si64>
    %int1 = torch.constant.int 1
    %2 = torch.aten.unsqueeze %1, %int1 : !torch.vtensor<[1,63],si64>, !torch.int -> !torch.vtensor<[1,1,63],si64>
    %int2 = torch.constant.int 2
    %3 = torch.aten.unsqueeze %2, %int2 : !torch.vtensor<[1,1,63],si64>, !torch.int -> !torch.vtensor<[1,1,1,63],si64>
    %4 = torch.aten.unsqueeze %0, %int0 : !torch.vtensor<[63],si64>, !torch.int -> !torch.vtensor<[1,63],si64>
    %5 = torch.aten.unsqueeze %4, %int1 : !torch.vtensor<[1,63],si64>, !torch.int -> !torch.vtensor<[1,1,63],si64>
    %int3 = torch.constant.int 3
    %6 = torch.aten.unsqueeze %5, %int3 : !torch.vtensor<[1,1,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,1],si64>
    %7 = torch.aten.ge.Tensor %3, %6 : !torch.vtensor<[1,1,1,63],si64>, !torch.vtensor<[1,1,63,1],si64> -> !torch.vtensor<[1,1,63,63],i1>
    %8 = torch.aten.select.int %7, %int1, %int0 : !torch.vtensor<[1,1,63,63],i1>, !torch.int, !torch.int -> !torch.vtensor<[1,63,63],i1>
    %9 = torch.aten.select.int %8, %int0, %int0 : !torch.vtensor<[1,63,63],i1>, !torch.int, !torch.int -> !torch.vtensor<[63,63],i1>
    %10 = torch.aten.unsqueeze %9, %int0 : !torch.vtensor<[63,63],i1>, !torch.int -> !torch.vtensor<[1,63,63],i1>
    %11 = torch.aten.unsqueeze %10, %int1 : !torch.vtensor<[1,63,63],i1>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %float-Inf = torch.constant.float 0xFFF0000000000000
    %12 = torch.aten.where.Scalar %11, %float0.000000e00, %float-Inf : !torch.vtensor<[1,1,63,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[1,1,63,63],f32>
    %int6 = torch.constant.int 6
    %13 = torch.aten.to.dtype %12, %int6, %false, %false, %none : !torch.vtensor<[1,1,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,63,63],f32>
    %float1.581140e-01 = torch.constant.float 0.15811388300841897
    %str = torch.constant.str "zero"
    %str_0 = torch.constant.str "exact"
    %14:2 = torch.operator "torch.hyper.attention"(%arg0, %arg1, %arg2, %none, %13, %none, %none, %float1.581140e-01, %str, %str_0, ...) : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.none, !torch.vtensor<[1,1,63,63],f32>, !torch.none, !torch.none, !torch.float, !torch.str, !torch.str, ...) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %14#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
