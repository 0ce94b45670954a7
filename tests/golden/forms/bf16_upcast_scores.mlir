// Form `bf16_upcast_scores`: Casts on every side.
// Read as: causal, key padding, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, causal_offset = 0, scale = 0.15811388300841897, empty_rows = "mean", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,63],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,4,63,40],bf16>, %arg1: !torch.vtensor<[3,63],si64>, %arg2: !torch.vtensor<[3,4,63,40],bf16>, %arg3: !torch.vtensor<[3,4,63,40],bf16>) -> !torch.vtensor<[3,4,63,40],bf16> {
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %0 = torch.aten.to.dtype %arg0, %int6, %false, %false, %none : !torch.vtensor<[3,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,4,63,40],f32>
    %1 = torch.aten.to.dtype %arg2, %int6, %false, %false, %none : !torch.vtensor<[3,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,4,63,40],f32>
    %2 = torch.aten.to.dtype %arg3, %int6, %false, %false, %none : !torch.vtensor<[3,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,4,63,40],f32>
    %int0 = torch.constant.int 0
    %3 = torch.aten.gt.Scalar %arg1, %int0 : !torch.vtensor<[3,63],si64>, !torch.int -> !torch.vtensor<[3,63],i1>
    %int-1 = torch.constant.int -1
    %int63 = torch.constant.int 63
    %4 = torch.prim.ListConstruct %int-1, %int63 : (!torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.expand %3, %4, %false : !torch.vtensor<[3,63],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,63],i1>
    %6:2 = torch.operator "torch.hyper.attention"(query = %0, key = %1, value = %2, key_mask = %5, causal_offset = 0, scale = 0.15811388300841897, empty_rows = "mean", algorithm = "exact") : (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,63],i1>) -> (!torch.vtensor<[3,4,63,40],f32>, !torch.vtensor<[3,4,63],f32>) 
    %int15 = torch.constant.int 15
    %7 = torch.aten.to.dtype %6#0, %int15, %false, %false, %none : !torch.vtensor<[3,4,63,40],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,4,63,40],bf16>
    %8 = torch.aten.to.dtype %7, %int15, %false, %false, %none : !torch.vtensor<[3,4,63,40],bf16>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,4,63,40],bf16>
    return %8 : !torch.vtensor<[3,4,63,40],bf16>
  }
}
