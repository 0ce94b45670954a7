// Near miss `inverted_tril` of `causal_by_tril`: The mask the wrong way round: only the future is seen; must not become causal. The last row is NaN.
// Read as: full, mask tensor, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.constant.str "nan"
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
    %int1 = torch.constant.int 1
    %int-1 = torch.constant.int -1
    %1 = torch.prim.ListConstruct %int1, %int1, %int-1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %2 = torch.aten.view %0, %1 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,63,1],si64>
    %3 = torch.aten.add.Scalar %2, %int1, %int1 : !torch.vtensor<[1,1,63,1],si64>, !torch.int, !torch.int -> !torch.vtensor<[1,1,63,1],si64>
    %4 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %5 = torch.prim.ListConstruct %int1, %int1, %int1, %int-1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %6 = torch.aten.view %4, %5 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,1,63],si64>
    %7 = torch.aten.mul.Scalar %6, %int-1 : !torch.vtensor<[1,1,1,63],si64>, !torch.int -> !torch.vtensor<[1,1,1,63],si64>
    %8 = torch.aten.add.Tensor %3, %7, %int1 : !torch.vtensor<[1,1,63,1],si64>, !torch.vtensor<[1,1,1,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],si64>
    %int0 = torch.constant.int 0
    %9 = torch.aten.le.Scalar %8, %int0 : !torch.vtensor<[1,1,63,63],si64>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %float-Inf = torch.constant.float 0xFFF0000000000000
    %10 = torch.aten.where.Scalar %9, %float0.000000e00, %float-Inf : !torch.vtensor<[1,1,63,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[1,1,63,63],f32>
    %int6 = torch.constant.int 6
    %11 = torch.aten.to.dtype %10, %int6, %false, %false, %none : !torch.vtensor<[1,1,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,63,63],f32>
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %str = torch.constant.str "nan"
    %str_0 = torch.constant.str "exact"
    %12:2 = torch.operator "torch.hyper.attention"(%arg0, %arg1, %arg2, %none, %11, %none, %none, %float1.000000e00, %str, %str_0, ...) : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.none, !torch.vtensor<[1,1,63,63],f32>, !torch.none, !torch.none, !torch.float, !torch.str, !torch.str, ...) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %12#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
