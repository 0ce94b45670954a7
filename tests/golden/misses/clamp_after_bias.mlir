// Near miss `clamp_after_bias` of `clamp_both`: The bias is clamped too.
// Left alone: unsupported_score
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[63,63],f32>, %arg3: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,40,63],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %float3.000000e-01 = torch.constant.float 3.000000e-01
    %2 = torch.aten.mul.Scalar %1, %float3.000000e-01 : !torch.vtensor<[2,4,63,63],f32>, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %int1 = torch.constant.int 1
    %3 = torch.aten.add.Tensor %2, %arg2, %int1 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[63,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,63],f32>
    %float-1.000000e00 = torch.constant.float -1.000000e+00
    %float1.500000e00 = torch.constant.float 1.500000e+00
    %4 = torch.aten.clamp %3, %float-1.000000e00, %float1.500000e00 : !torch.vtensor<[2,4,63,63],f32>, !torch.float, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %none = torch.constant.none
    %5 = torch.aten.softmax.int %4, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %6 = torch.aten.matmul %5, %arg3 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %6 : !torch.vtensor<[2,4,63,40],f32>
  }
}
