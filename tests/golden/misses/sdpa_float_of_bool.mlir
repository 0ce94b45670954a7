// Near miss `sdpa_float_of_bool` of `sdpa_bool_causal`: A float mask is added, so 0 and 1 are no mask.
// Read as: full, bias, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[1,1,23,23],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,23,40],f32>, %arg1: !torch.vtensor<[2,4,23,40],f32>, %arg2: !torch.vtensor<[2,4,23,40],f32>) -> !torch.vtensor<[2,4,23,40],f32> {
    %int23 = torch.constant.int 23
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %0 = torch.aten.arange %int23, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[23],si64>
    %int0 = torch.constant.int 0
    %1 = torch.aten.unsqueeze %0, %int0 : !torch.vtensor<[23],si64>, !torch.int -> !torch.vtensor<[1,23],si64>
    %int1 = torch.constant.int 1
    %2 = torch.aten.unsqueeze %0, %int1 : !torch.vtensor<[23],si64>, !torch.int -> !torch.vtensor<[23,1],si64>
    %3 = torch.aten.le.Tensor %1, %2 : !torch.vtensor<[1,23],si64>, !torch.vtensor<[23,1],si64> -> !torch.vtensor<[23,23],i1>
    %int6 = torch.constant.int 6
    %4 = torch.aten.to.dtype %3, %int6, %false, %false, %none : !torch.vtensor<[23,23],i1>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[23,23],f32>
    %5 = torch.aten.unsqueeze %4, %int0 : !torch.vtensor<[23,23],f32>, !torch.int -> !torch.vtensor<[1,23,23],f32>
    %6 = torch.aten.unsqueeze %5, %int1 : !torch.vtensor<[1,23,23],f32>, !torch.int -> !torch.vtensor<[1,1,23,23],f32>
    %7 = torch.aten.to.dtype %6, %int6, %false, %false, %none : !torch.vtensor<[1,1,23,23],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,23,23],f32>
    %8:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg2, bias = %7, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[1,1,23,23],f32>) -> (!torch.vtensor<[2,4,23,40],f32>, !torch.vtensor<[2,4,23],f32>) 
    return %8#0 : !torch.vtensor<[2,4,23,40],f32>
  }
}
