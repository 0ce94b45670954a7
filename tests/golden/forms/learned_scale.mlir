// Form `learned_scale`: Swin v2: a learned scale for each head.
// Read as: full, 4 heads, scale 1 × tensor
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[4,1,1],f32>, %arg3: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int2 = torch.constant.int 2
    %int0 = torch.constant.int 0
    %0 = torch.aten.select.int %arg2, %int2, %int0 : !torch.vtensor<[4,1,1],f32>, !torch.int, !torch.int -> !torch.vtensor<[4,1],f32>
    %int1 = torch.constant.int 1
    %1 = torch.aten.select.int %0, %int1, %int0 : !torch.vtensor<[4,1],f32>, !torch.int, !torch.int -> !torch.vtensor<[4],f32>
    %2 = torch.aten.unsqueeze %1, %int0 : !torch.vtensor<[4],f32>, !torch.int -> !torch.vtensor<[1,4],f32>
    %3 = torch.aten.unsqueeze %2, %int2 : !torch.vtensor<[1,4],f32>, !torch.int -> !torch.vtensor<[1,4,1],f32>
    %int3 = torch.constant.int 3
    %4 = torch.aten.unsqueeze %3, %int3 : !torch.vtensor<[1,4,1],f32>, !torch.int -> !torch.vtensor<[1,4,1,1],f32>
    %5 = torch.aten.mul.Tensor %arg1, %4 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[1,4,1,1],f32> -> !torch.vtensor<[2,4,63,40],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %6 = torch.aten.to.dtype %5, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,40],f32>
    %7:2 = torch.operator "torch.hyper.attention"(query = %6, key = %arg0, value = %arg3, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %7#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
