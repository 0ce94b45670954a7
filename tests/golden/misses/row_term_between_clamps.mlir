// Near miss `row_term_between_clamps` of `clamp_of_the_other_side`: Two clamps that scores meet, and a term of the row between them.
// Left alone: unsupported_score
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,40,63],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %none = torch.constant.none
    %float2.000000e00 = torch.constant.float 2.000000e+00
    %2 = torch.aten.clamp %1, %none, %float2.000000e00 : !torch.vtensor<[2,4,63,63],f32>, !torch.none, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %int3 = torch.constant.int 3
    %int0 = torch.constant.int 0
    %int1 = torch.constant.int 1
    %3 = torch.aten.slice.Tensor %arg1, %int3, %int0, %int1, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,1],f32>
    %4 = torch.aten.sub.Tensor %2, %3, %int1 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,1],f32>, !torch.int -> !torch.vtensor<[2,4,63,63],f32>
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %5 = torch.aten.clamp %4, %none, %float1.000000e00 : !torch.vtensor<[2,4,63,63],f32>, !torch.none, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %6 = torch.aten.softmax.int %5, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %7 = torch.aten.matmul %6, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %7 : !torch.vtensor<[2,4,63,40],f32>
  }
}
