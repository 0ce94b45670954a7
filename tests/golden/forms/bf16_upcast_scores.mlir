// Form `bf16_upcast_scores`: Casts on every side.
// Read as: causal, key padding, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.constant.str "mean"
// CHECK: torch.operator "torch.hyper.attention"({{.*}}) : (!torch.vtensor<{{\[}}3,4,63,40],f32>, !torch.vtensor<{{\[}}3,4,63,40],f32>, !torch.vtensor<{{\[}}3,4,63,40],f32>,
// CHECK-SAME: {{(!torch.vtensor<[^>]*)?}}i1>, !torch.none
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,4,63,40],bf16>, %arg1: !torch.vtensor<[3,63],si64>, %arg2: !torch.vtensor<[3,4,63,40],bf16>, %arg3: !torch.vtensor<[3,4,63,40],bf16>) -> !torch.vtensor<[3,4,63,40],bf16> {
    %int0 = torch.constant.int 0
    %0 = torch.aten.gt.Scalar %arg1, %int0 : !torch.vtensor<[3,63],si64>, !torch.int -> !torch.vtensor<[3,63],i1>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %1 = torch.aten.to.dtype %arg0, %int6, %false, %false, %none : !torch.vtensor<[3,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,4,63,40],f32>
    %2 = torch.aten.to.dtype %arg2, %int6, %false, %false, %none : !torch.vtensor<[3,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,4,63,40],f32>
    %3 = torch.aten.to.dtype %arg3, %int6, %false, %false, %none : !torch.vtensor<[3,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,4,63,40],f32>
    %int-1 = torch.constant.int -1
    %int63 = torch.constant.int 63
    %4 = torch.prim.ListConstruct %int-1, %int63 : (!torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.expand %0, %4, %false : !torch.vtensor<[3,63],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,63],i1>
    %float1.581140e-01 = torch.constant.float 0.15811388300841897
    %str = torch.constant.str "mean"
    %str_0 = torch.constant.str "exact"
    %6:2 = torch.operator "torch.hyper.attention"(%1, %2, %3, %5, %none, %int0, %none, %float1.581140e-01, %str, %str_0, ...) : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,63],i1>, !torch.none, !torch.int, !torch.none, !torch.float, !torch.str, !torch.str, ...) -> (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63],f32>) 
    %int15 = torch.constant.int 15
    %7 = torch.aten.to.dtype %6#0, %int15, %false, %false, %none : !torch.vtensor<[3,4,63,40],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,4,63,40],bf16>
    %8 = torch.aten.to.dtype %7, %int15, %false, %false, %none : !torch.vtensor<[3,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,4,63,40],bf16>
    return %8 : !torch.vtensor<[3,4,63,40],bf16>
  }
}
