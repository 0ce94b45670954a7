// Form `sdpa_with_relative_product`: Shaw's relative positions handed to SDPA as its mask.
// Read as: full, bias, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[4,63,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>, %arg3: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %str = torch.constant.str "bhid,hijd->bhij"
    %0 = torch.prim.ListConstruct %arg0, %arg1 : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[4,63,63,40],f32>) -> !torch.list<vtensor>
    %none = torch.constant.none
    %1 = torch.aten.einsum %str, %0, %none : !torch.str, !torch.list<vtensor>, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %float1.250000e-01 = torch.constant.float 1.250000e-01
    %2 = torch.aten.mul.Scalar %1, %float1.250000e-01 : !torch.vtensor<[2,4,63,63],f32>, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %3 = torch.aten.to.dtype %2, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %4:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg2, value = %arg3, bias = %3, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,63],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %4#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
